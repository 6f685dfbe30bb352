-- What the third release adds: where sweeps and answers come from, and what networks made of a test part that a holdout
-- keeps out of every choice. All of it stands in tables of its own: rows of earlier releases stay as they are, and lack it.

-- `fresh`: results that were known do not count. `reproduces`: the key of the attempt whose answer the sweep is held
-- against. `revision`: of the folder that the spec came from; empty where there was none.
CREATE TABLE submissions (
    sweep INTEGER NOT NULL PRIMARY KEY,
    fresh INTEGER NOT NULL,
    reproduces INTEGER,
    revision TEXT NOT NULL,
    sum INTEGER
);

CREATE TABLE origins (
    attempt INTEGER NOT NULL PRIMARY KEY,
    driver TEXT NOT NULL,
    kernel_cache TEXT NOT NULL,
    worker TEXT NOT NULL,
    worker_version TEXT NOT NULL,
    host TEXT NOT NULL,
    coordinator_version TEXT NOT NULL,
    sweep INTEGER,
    spec_digest BLOB,
    revision TEXT NOT NULL,
    protocol_digest BLOB,
    sum INTEGER
);

-- `body` is `sweep.v1.Validation`, encoded; large and seldom read, so it has a checksum of its own.
CREATE TABLE tests (
    attempt INTEGER NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    loss REAL NOT NULL,
    accuracy REAL NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER,
    body_sum INTEGER
);
