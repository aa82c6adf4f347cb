-- A connection that listens does nothing else, so LISTEN is the last that it said.
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query ILIKE 'listen%' AND backend_type = 'client backend' AND pid <> pg_backend_pid();
