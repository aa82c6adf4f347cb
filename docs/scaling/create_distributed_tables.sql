-- Distributes the tables of a store over a Citus cluster, by account. Run it once on the coordinator, on a store that is empty and that no
-- node uses: `psql -v ON_ERROR_STOP=1 -f create_distributed_tables.sql postgres://…`.
--
-- All rows of an account lie on one shard, and nothing is joined across accounts. What is small and of no account is copied to every shard
-- where it is read beside an account's data (accounts: each commit compares the version of its account; keys; retention: every read of history
-- takes the floor from it), or stays on the coordinator (the nodes, their slots, the feed, marks).
--
-- This is the layout, and no more: the statements of this version do NOT all run on Citus as they are.
-- * Only what names one account (`account = $n`: pages and single look-ups of the API) is routed to its shard. What every delivery needs is for a
--   group of many accounts: `unnest(…) CROSS JOIN LATERAL (… LIMIT 1)` in recording, `fetch_due` and the sweep, several writes in one `WITH` in
--   committing. Citus neither routes nor pushes these down. They would have to be sent once for each account, or shard, of a group.
-- * `FOR UPDATE SKIP LOCKED` over all accounts (fan-outs in steps, deleted webhooks, running jobs) works on one shard alone.
-- * Rows are written by `ctid`, which is a place within a shard: right only beside `account = $n`.
-- * The order of all writes is that of the coordinator's transactions. Shards commit a moment after it, so who follows the events of an
--   account by their places could step over one.

BEGIN;

SELECT create_reference_table('postrider.accounts');
SELECT create_reference_table('postrider.keys');
SELECT create_reference_table('postrider.retention');

SELECT create_distributed_table('postrider.events', 'account');
SELECT create_distributed_table('postrider.event_ids', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.queue', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.deliveries', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.attempts', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.tests', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.fanouts', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.webhooks', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.stopping', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.jobs', 'account', colocate_with => 'postrider.events');
SELECT create_distributed_table('postrider.kept_answers', 'owner', colocate_with => 'postrider.events');

COMMIT;
