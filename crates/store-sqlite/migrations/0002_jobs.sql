-- Jobs, and what a recovery is to do. While `total` is NULL it is counted: `counted` up to the event at `through`; then the work begins
-- anew from the oldest, and `through` is the last event that was dealt with.
CREATE TABLE jobs (
    id          BLOB PRIMARY KEY,
    account     BLOB NOT NULL,
    position    INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    webhook     BLOB NOT NULL,
    since       INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    what        INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    counted     INTEGER NOT NULL DEFAULT 0,
    through     INTEGER NOT NULL DEFAULT 0,
    done        INTEGER NOT NULL,
    total       INTEGER,
    error       TEXT,
    ended_at    INTEGER,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_of_account ON jobs (account, position);
CREATE INDEX jobs_running ON jobs (id) WHERE status = 1;
CREATE INDEX jobs_running_of_account ON jobs (account) WHERE status = 1;
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;

-- The segments of the history, with the earliest and latest `created_at` of their events: NULL where nobody looked, the earliest
-- later than the latest where there are none. The last one always stays: it says which positions were given.
CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    oldest  INTEGER,
    newest  INTEGER
) STRICT;
INSERT INTO segments (segment) SELECT DISTINCT segment FROM history;
