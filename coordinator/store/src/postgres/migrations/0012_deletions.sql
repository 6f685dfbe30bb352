-- Sweeps that a person deleted. SQLite's 0012 says more.
CREATE TABLE deletions (
    sweep BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    submitter TEXT NOT NULL,
    pin BYTEA,
    actor TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL,
    trials BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    artifacts BIGINT NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    store_bytes BIGINT NOT NULL,
    sum BIGINT,
    state_sum BIGINT
);
CREATE INDEX deletions_unfinished ON deletions (finished_ms) WHERE finished_ms = 0;
