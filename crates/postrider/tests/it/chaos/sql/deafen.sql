-- A connection that listens does nothing else, so LISTEN is the last that it said.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND query ILIKE 'listen%' AND backend_type = 'client backend' AND pid <> pg_backend_pid();
