SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8 AND granted;
