-- What the third release of the layout adds: where sweeps and answers come from, and what was made of the test part.
-- SQLite's 0003 says more of each.

CREATE TABLE submissions (
    sweep BIGINT NOT NULL PRIMARY KEY,
    fresh BIGINT NOT NULL,
    reproduces BIGINT,
    revision TEXT NOT NULL,
    sum BIGINT
);

CREATE TABLE origins (
    attempt BIGINT NOT NULL PRIMARY KEY,
    driver TEXT NOT NULL,
    kernel_cache TEXT NOT NULL,
    worker TEXT NOT NULL,
    worker_version TEXT NOT NULL,
    host TEXT NOT NULL,
    coordinator_version TEXT NOT NULL,
    sweep BIGINT,
    spec_digest BYTEA,
    revision TEXT NOT NULL,
    protocol_digest BYTEA,
    sum BIGINT
);

-- `body` is `sweep.v1.Validation`, encoded; large and seldom read, so it has a checksum of its own.
CREATE TABLE tests (
    attempt BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    loss DOUBLE PRECISION NOT NULL,
    accuracy DOUBLE PRECISION NOT NULL,
    body BYTEA NOT NULL,
    sum BIGINT,
    body_sum BIGINT
);
