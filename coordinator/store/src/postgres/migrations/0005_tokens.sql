-- Tokens. SQLite's 0005 says more.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT,
    sum BIGINT,
    state_sum BIGINT
);
