-- Ids of ours are 16 bytes, times are milliseconds since 1970. A position is a place in the order of all writes:
-- the writer counts. docs/decisions/0003-sqlite-layout.md says why the tables look like this.

-- `webhooks` counts those that are not deleted.
CREATE TABLE accounts (
    id          BLOB PRIMARY KEY,
    position    INTEGER NOT NULL UNIQUE,
    external_id TEXT UNIQUE,
    name        TEXT NOT NULL,
    is_active   INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    webhooks    INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    deleted_at  INTEGER
) STRICT, WITHOUT ROWID;

-- `owner` is empty for the operator's own keys.
CREATE TABLE keys (
    id           BLOB PRIMARY KEY,
    owner        BLOB NOT NULL,
    position     INTEGER NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    hint         TEXT NOT NULL,
    scopes       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    UNIQUE (owner, position)
) STRICT, WITHOUT ROWID;

-- `secrets` are sealed; `event_names` are parted by line feeds; health is NULL, 0 (well) or a count of failures.
CREATE TABLE webhooks (
    id           BLOB PRIMARY KEY,
    account      BLOB NOT NULL,
    position     INTEGER NOT NULL,
    url          TEXT NOT NULL,
    description  TEXT,
    is_active    INTEGER NOT NULL,
    event_names  TEXT NOT NULL,
    secrets      BLOB NOT NULL,
    failures     INTEGER,
    ill_since    INTEGER,
    created_at   INTEGER NOT NULL,
    modified_at  INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX webhooks_of_account ON webhooks (account, position) WHERE deleted_at IS NULL;

-- Deleted webhooks whose pending deliveries are still to be ended.
CREATE TABLE stopping (webhook BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    place   INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB,
    webhook BLOB
) STRICT;

-- `id` is the event's id as a key, see event_ids; `deliveries` are the ids that it was stored with, 16 bytes each.
CREATE TABLE events (
    position      INTEGER PRIMARY KEY,
    id            BLOB NOT NULL,
    account       BLOB NOT NULL,
    name          TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    deliveries    BLOB NOT NULL,
    body          BLOB NOT NULL
) STRICT;

-- Ours are 16 bytes; a caller's own is its account's 16 bytes and its text, so that it is unique within the account.
CREATE TABLE event_ids (id BLOB PRIMARY KEY, event INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Deliveries that were made of an event after it was stored.
CREATE TABLE later_deliveries (
    event    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    delivery BLOB NOT NULL,
    PRIMARY KEY (event, position)
) STRICT, WITHOUT ROWID;

-- `state` has a fixed length, so that an outcome is written in place: see src/codec.rs. `event` is NULL for a test.
CREATE TABLE deliveries (
    id       BLOB PRIMARY KEY,
    account  BLOB NOT NULL,
    webhook  BLOB NOT NULL,
    event    INTEGER,
    position INTEGER NOT NULL,
    state    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What is pending, and nothing else.
CREATE TABLE queue (
    webhook  BLOB NOT NULL,
    due      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    delivery BLOB NOT NULL,
    PRIMARY KEY (webhook, due, position)
) STRICT, WITHOUT ROWID;

-- Those of the queue that are tests, once more: found without a look at what else waits.
CREATE TABLE queued_tests (
    webhook  BLOB NOT NULL,
    due      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    delivery BLOB NOT NULL,
    PRIMARY KEY (webhook, due, position)
) STRICT, WITHOUT ROWID;

-- Attempts that do not fit into the state of their delivery: all that failed.
CREATE TABLE attempts (
    delivery BLOB NOT NULL,
    number   INTEGER NOT NULL,
    attempt  BLOB NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Bodies of test deliveries: kept apart, so that no read of events finds them.
CREATE TABLE tests (delivery BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE urls (number INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE) STRICT;

-- What each commit added, in the order of positions, until the next segment of the history is cut.
CREATE TABLE arrivals (
    position   INTEGER PRIMARY KEY,
    deliveries BLOB NOT NULL,
    events     BLOB NOT NULL
) STRICT;

-- For each segment (named by its last position) and owner: what was added, oldest first. See src/history.rs.
CREATE TABLE history (
    segment INTEGER NOT NULL,
    owner   BLOB NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (segment, owner)
) STRICT, WITHOUT ROWID;

-- Deliveries of large fan-outs that are not in the queue yet: pairs of delivery and webhook, 32 bytes each.
CREATE TABLE fanouts (
    event INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    pairs BLOB NOT NULL,
    PRIMARY KEY (event, chunk)
) STRICT, WITHOUT ROWID;

-- Written by `check`.
CREATE TABLE pulse (one INTEGER PRIMARY KEY CHECK (one = 1), beats INTEGER NOT NULL) STRICT;
INSERT INTO pulse VALUES (1, 0);
