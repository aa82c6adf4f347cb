-- How far retention has come. Events up to `through` were dealt with; `event` (0: none) is under way, up to its delivery at
-- `delivery`, and is kept where `is_kept`. `test` is the last test that was looked at. Everything up to `floor` is gone.
CREATE TABLE retention (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    through        INTEGER NOT NULL,
    event          INTEGER NOT NULL,
    delivery       INTEGER NOT NULL,
    is_kept        INTEGER NOT NULL,
    test           BLOB NOT NULL,
    tests_again_at INTEGER NOT NULL,
    floor          INTEGER NOT NULL
) STRICT;
INSERT INTO retention VALUES (1, 0, 0, 0, 0, x'', 0, 0);

-- Events that retention passed over because something of them was on its way: when it looks again.
CREATE TABLE kept_events (event INTEGER PRIMARY KEY, again_at INTEGER NOT NULL) STRICT;
CREATE INDEX kept_events_again ON kept_events (again_at);

-- When retention looks again whether all of a segment is gone.
ALTER TABLE segments ADD COLUMN again_at INTEGER NOT NULL DEFAULT 0;

-- A position up to which a url was used, or a little before its last use: see URL_STEP in src/tx.rs.
ALTER TABLE urls ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE urls SET used = ifnull((SELECT max(position) FROM arrivals), ifnull((SELECT max(segment) FROM segments), 0));
CREATE INDEX urls_used ON urls (used);

-- The last segment that was erased of a deleted account (NULL: none yet), and whether all of it was.
ALTER TABLE accounts ADD COLUMN erased_through INTEGER;
ALTER TABLE accounts ADD COLUMN is_erased INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_deleted ON accounts (is_erased, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX webhooks_deleted_of_account ON webhooks (account) WHERE deleted_at IS NOT NULL;
