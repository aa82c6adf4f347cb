-- Ids of ours are uuid: their first 48 bits are the time in milliseconds. Times are milliseconds since 1970. A place in the order of all
-- writes is (major, minor): the transaction's id plus `position_base`, and a count within it. docs/decisions says why it is laid out so.
-- What belongs to an account leads with it, primary keys included, and no index is unique without it: so it distributes by account, see
-- docs/scaling/create_distributed_tables.sql. The others are small. Those that are read beside an account's data are copied to every shard
-- where there are any (accounts, keys, retention); the rest stays in one place (meta, changes, changes_trimmed, pulse, marks, nodes, slots).

-- `webhooks` counts those that are not deleted.
CREATE TABLE postrider.accounts (
    id          uuid PRIMARY KEY,
    major       bigint NOT NULL,
    minor       integer NOT NULL,
    external_id text UNIQUE,
    name        text NOT NULL,
    is_active   boolean NOT NULL,
    version     bigint NOT NULL,
    webhooks    integer NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    modified_at bigint NOT NULL,
    deleted_at  bigint,
    is_erased   boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX accounts_by_position ON postrider.accounts (major, minor);
CREATE INDEX accounts_deleted ON postrider.accounts (deleted_at) WHERE deleted_at IS NOT NULL AND NOT is_erased;

-- `owner` is all zeroes for the operator's own keys.
CREATE TABLE postrider.keys (
    owner        uuid NOT NULL,
    id           uuid NOT NULL,
    major        bigint NOT NULL,
    minor        integer NOT NULL,
    hash         bytea NOT NULL UNIQUE,
    name         text NOT NULL,
    hint         text NOT NULL,
    scopes       bigint NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint,
    last_used_at bigint,
    PRIMARY KEY (owner, id)
);
CREATE UNIQUE INDEX keys_by_id ON postrider.keys (id);
CREATE UNIQUE INDEX keys_by_position ON postrider.keys (owner, major, minor);

-- `secrets` are sealed; health is NULL (unproven), 0 (well) or a count of failures.
CREATE TABLE postrider.webhooks (
    account     uuid NOT NULL,
    id          uuid NOT NULL,
    major       bigint NOT NULL,
    minor       integer NOT NULL,
    url         text NOT NULL,
    description text,
    is_active   boolean NOT NULL,
    event_names text[] NOT NULL,
    secrets     bytea NOT NULL,
    failures    integer,
    ill_since   bigint,
    created_at  bigint NOT NULL,
    modified_at bigint NOT NULL,
    deleted_at  bigint,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX webhooks_by_position ON postrider.webhooks (account, major, minor) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_deleted ON postrider.webhooks (account) WHERE deleted_at IS NOT NULL;

-- Deleted webhooks whose pending deliveries are still to be ended. The row goes only once every transaction that was open at `major` has
-- ended: one of them may bring deliveries that were fanned out before.
CREATE TABLE postrider.stopping (
    account uuid NOT NULL,
    webhook uuid NOT NULL,
    major   bigint NOT NULL,
    PRIMARY KEY (account, webhook)
);

-- The feed of changes for all nodes. No account: the operator's keys. With a delivery: it is wanted now, by the owner of the webhook's slot.
CREATE TABLE postrider.changes (
    major    bigint NOT NULL,
    place    bigint GENERATED ALWAYS AS IDENTITY,
    account  uuid,
    webhook  uuid,
    delivery uuid,
    at       bigint NOT NULL,
    PRIMARY KEY (major, place)
);

-- Up to which `major` rows of `changes` were taken away: one row.
CREATE TABLE postrider.changes_trimmed (
    one   boolean PRIMARY KEY CHECK (one),
    major bigint NOT NULL
);
INSERT INTO postrider.changes_trimmed VALUES (true, 0);

-- Written by `check`: the highest place that was noted, see src/moved.rs. One row.
CREATE TABLE postrider.pulse (
    one   boolean PRIMARY KEY CHECK (one),
    beats bigint NOT NULL,
    major bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO postrider.pulse VALUES (true, 0, 0);

-- Events never change. `own_id` is its caller's own id; `deliveries` are the ids that it was stored with, 16 bytes each.
CREATE TABLE postrider.events (
    account       uuid NOT NULL,
    id            uuid NOT NULL,
    major         bigint NOT NULL,
    minor         integer NOT NULL,
    own_id        text,
    name          text NOT NULL,
    resource_id   text NOT NULL,
    resource_type text NOT NULL,
    created_at    bigint NOT NULL,
    deliveries    bytea NOT NULL,
    body          bytea NOT NULL,
    PRIMARY KEY (account, id)
) PARTITION BY RANGE (id);
CREATE INDEX events_by_position ON postrider.events (account, major, minor);

-- Callers' own ids of events.
CREATE TABLE postrider.event_ids (
    account uuid NOT NULL,
    own_id  text NOT NULL,
    event   uuid NOT NULL,
    PRIMARY KEY (account, own_id)
);
CREATE INDEX event_ids_by_event ON postrider.event_ids (event);

-- What is pending, and nothing else: all of it. When it ends its row goes, and one in `deliveries` comes in its place. `event` is NULL for
-- a test; `is_later`: it was made after its event was stored. `is_fresh`: it is due since it was stored, and never was rescheduled: `major` is
-- the transaction that brought the row here. Fresh rows stand in `queue_by_due` in the order of their places, apart from the others: so a
-- reader that has seen all of a webhook's up to a place begins behind it, and never steps over what has ended and is not cleaned up yet.
CREATE TABLE postrider.queue (
    account           uuid NOT NULL,
    delivery          uuid NOT NULL,
    webhook           uuid NOT NULL,
    event             uuid,
    due               bigint NOT NULL,
    major             bigint NOT NULL,
    schedule_began_at bigint NOT NULL,
    created_at        bigint NOT NULL,
    modified_at       bigint NOT NULL,
    minor             integer NOT NULL,
    attempts          integer NOT NULL DEFAULT 0,
    schedule_base     integer NOT NULL DEFAULT 0,
    slot              smallint NOT NULL,
    is_fresh          boolean NOT NULL DEFAULT false,
    is_urgent         boolean NOT NULL DEFAULT false,
    is_later          boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, delivery)
) WITH (
    -- Its rows live for a moment: cleaned up by their number, whatever the size, and at full speed. The end of the file is kept, for
    -- giving it back would lock the table.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 100000, vacuum_truncate = off
);
CREATE INDEX queue_by_due ON postrider.queue
    (slot, account, webhook, (CASE WHEN is_fresh THEN 0::bigint ELSE due END), major, minor);
CREATE INDEX queue_by_position ON postrider.queue (account, major, minor);
CREATE INDEX queue_tests ON postrider.queue (account, webhook, due) WHERE event IS NULL;
CREATE INDEX queue_later ON postrider.queue (account, event) WHERE is_later;

-- What has ended. A row never changes; only a retry takes it back to the queue. `status` 1: succeeded, 2: failed. `success` is the attempt
-- that was acknowledged, see src/codec.rs.
CREATE TABLE postrider.deliveries (
    account           uuid NOT NULL,
    id                uuid NOT NULL,
    webhook           uuid NOT NULL,
    event             uuid,
    major             bigint NOT NULL,
    minor             integer NOT NULL,
    status            smallint NOT NULL,
    failed_reason     smallint,
    ended_at          bigint NOT NULL,
    attempts          integer NOT NULL,
    schedule_base     integer NOT NULL,
    schedule_began_at bigint NOT NULL,
    is_later          boolean NOT NULL,
    created_at        bigint NOT NULL,
    modified_at       bigint NOT NULL,
    success           bytea,
    PRIMARY KEY (account, id)
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_by_position ON postrider.deliveries (account, major, minor);
CREATE INDEX deliveries_of_webhook ON postrider.deliveries (account, webhook, major, minor);
CREATE INDEX deliveries_later ON postrider.deliveries (account, event) WHERE is_later;

-- Attempts but those that stand in `deliveries.success`: all that failed. Never rewritten.
CREATE TABLE postrider.attempts (
    account  uuid NOT NULL,
    delivery uuid NOT NULL,
    number   integer NOT NULL,
    attempt  bytea NOT NULL,
    PRIMARY KEY (account, delivery, number)
) PARTITION BY RANGE (delivery);

-- Bodies of test deliveries.
CREATE TABLE postrider.tests (
    account  uuid NOT NULL,
    delivery uuid NOT NULL,
    body     bytea NOT NULL,
    PRIMARY KEY (account, delivery)
);
CREATE INDEX tests_by_delivery ON postrider.tests (delivery);

-- Events and ended deliveries whose id (a delivery's: of its event) is below `floor` are kept no longer: nobody reads them, and they go with
-- their partition. All up to `major` are such; what is younger may be. `marks` tell which transactions had ended at a time.
CREATE TABLE postrider.retention (
    floor uuid NOT NULL,
    major bigint NOT NULL
);
INSERT INTO postrider.retention VALUES ('00000000-0000-0000-0000-000000000000', -1);
CREATE TABLE postrider.marks (
    at    bigint PRIMARY KEY,
    major bigint NOT NULL
);

-- Deliveries of large fan-outs that are not in the queue yet: pairs of delivery and webhook, 32 bytes each. `created_at` is the event's.
CREATE TABLE postrider.fanouts (
    account    uuid NOT NULL,
    event      uuid NOT NULL,
    chunk      integer NOT NULL,
    created_at bigint NOT NULL,
    pairs      bytea NOT NULL,
    PRIMARY KEY (account, event, chunk)
);

-- Answers kept under idempotency keys. `owner` is all zeroes for the operator; `answer` is sealed where a secret is in it.
CREATE TABLE postrider.kept_answers (
    owner       uuid NOT NULL,
    key         text NOT NULL,
    ends_at     bigint NOT NULL,
    fingerprint bytea NOT NULL,
    is_secret   boolean NOT NULL,
    answer      bytea NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX kept_answers_by_end ON postrider.kept_answers (ends_at);

-- Jobs, and what a recovery is to do. While `total` is NULL it is counted: `counted` up to the event at `through`; then the work begins
-- anew from the oldest.
CREATE TABLE postrider.jobs (
    account       uuid NOT NULL,
    id            uuid NOT NULL,
    major         bigint NOT NULL,
    minor         integer NOT NULL,
    kind          smallint NOT NULL,
    webhook       uuid NOT NULL,
    since         bigint NOT NULL,
    until         bigint NOT NULL,
    what          smallint NOT NULL,
    status        smallint NOT NULL,
    counted       bigint NOT NULL DEFAULT 0,
    through_major bigint NOT NULL DEFAULT 0,
    through_minor integer NOT NULL DEFAULT 0,
    done          bigint NOT NULL,
    total         bigint,
    error         text,
    ended_at      bigint,
    created_at    bigint NOT NULL,
    modified_at   bigint NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX jobs_by_position ON postrider.jobs (account, major, minor);
CREATE INDEX jobs_running ON postrider.jobs (id) WHERE status = 1;
CREATE INDEX jobs_ended ON postrider.jobs (ended_at) WHERE ended_at IS NOT NULL;

-- Nodes: `beat` counts their heartbeats, `seen_at` is the time of the last by this database's clock.
CREATE TABLE postrider.nodes (
    token       uuid PRIMARY KEY,
    beat        bigint NOT NULL,
    seen_at     bigint NOT NULL,
    name        text NOT NULL,
    version     text NOT NULL,
    is_api      boolean NOT NULL,
    is_dispatch boolean NOT NULL,
    started_at  bigint NOT NULL,
    in_flight   bigint NOT NULL,
    waiting     bigint NOT NULL,
    unrecorded  bigint NOT NULL,
    is_leaving  boolean NOT NULL
) WITH (fillfactor = 50);

-- Who owns which slot; nobody where NULL.
CREATE TABLE postrider.slots (
    slot  smallint PRIMARY KEY,
    owner uuid
) WITH (fillfactor = 50);
INSERT INTO postrider.slots (slot) SELECT generate_series(0, 1023);
