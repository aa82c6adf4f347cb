-- Rows that are pending are locked from the last to the first, with a pause in which others come to wait for them: whoever locks them in
-- another order is in a deadlock. Then they are let go.
DO $$
DECLARE place record;
BEGIN
    FOR place IN SELECT account, delivery FROM postrider.queue ORDER BY account DESC, delivery DESC LIMIT 40 LOOP
        PERFORM 1 FROM postrider.queue AS row WHERE row.account = place.account AND row.delivery = place.delivery FOR UPDATE;
        PERFORM pg_sleep(0.05);
    END LOOP;
EXCEPTION WHEN deadlock_detected OR lock_not_available OR query_canceled THEN
    NULL;
END $$;
