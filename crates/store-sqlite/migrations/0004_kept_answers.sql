-- Answers kept under idempotency keys. `owner` is an account's 16 bytes, empty for the operator; `answer` is as src/kept.rs writes
-- it, and sealed where a secret is in it.
CREATE TABLE kept_answers (
    number      INTEGER PRIMARY KEY,
    owner       BLOB NOT NULL,
    key         TEXT NOT NULL,
    ends_at     INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    is_secret   INTEGER NOT NULL,
    answer      BLOB NOT NULL,
    UNIQUE (owner, key)
) STRICT;
CREATE INDEX kept_answers_by_end ON kept_answers (ends_at);
