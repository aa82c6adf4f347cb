-- Makes a deadlock with a group of outcomes, which locks its rows from the first to the last. The last rows that are pending are locked;
-- when somebody waits for one of them, one of those is asked for that others have locked meanwhile.
-- A deadlock is looked for once by whoever waits, so long after it began to: never by this session, so that it is not the one to be ended.
SET deadlock_timeout = '1min';
BEGIN;
CREATE TEMPORARY TABLE pending ON COMMIT DROP AS
    SELECT account, delivery, ntile(8) OVER (ORDER BY account, delivery) AS part FROM postrider.queue;
SELECT count(*) FROM (SELECT 1 FROM postrider.queue AS row JOIN pending USING (account, delivery) WHERE part = 8
                      ORDER BY account DESC, delivery DESC FOR UPDATE OF row) AS locked;
-- Tells the test.
SELECT pg_advisory_xact_lock(8);
DO $$
DECLARE place record;
BEGIN
    FOR turn IN 1..100 LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_locks
                          WHERE locktype = 'transactionid' AND NOT granted AND transactionid = pg_current_xact_id()::xid);
        PERFORM pg_sleep(0.02);
    END LOOP;
    -- Groups of other nodes come to wait, too.
    PERFORM pg_sleep(0.1);
    CREATE TEMPORARY TABLE free ON COMMIT DROP AS
        SELECT account, delivery FROM postrider.queue FOR UPDATE SKIP LOCKED;
    SELECT account, delivery INTO place
    FROM postrider.queue JOIN pending USING (account, delivery) LEFT JOIN free USING (account, delivery)
    WHERE free.delivery IS NULL AND part < 8 ORDER BY account, delivery LIMIT 1;
    PERFORM 1 FROM postrider.queue AS row WHERE row.account = place.account AND row.delivery = place.delivery FOR UPDATE;
END $$;
COMMIT;
