-- Distributes the tables of a store over a Citus cluster, by account. Run it once on the coordinator, on a store that is empty and that no
-- node uses: `psql -v ON_ERROR_STOP=1 -f create_distributed_tables.sql postgres://…`.
--
-- All rows of an account lie on one shard, and no statement joins across accounts. What is small and of no account is copied to every
-- shard (accounts, keys: each commit compares the version of its account), or stays on the coordinator (the nodes, their slots, the feed).

BEGIN;

SELECT create_reference_table('postrider.accounts');
SELECT create_reference_table('postrider.keys');

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
