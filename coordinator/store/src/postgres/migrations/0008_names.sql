-- Which worker took each name last. SQLite's 0008 says more.
CREATE TABLE names (
    worker TEXT NOT NULL PRIMARY KEY,
    folder BIGINT NOT NULL,
    process BIGINT NOT NULL,
    held BIGINT NOT NULL,
    host TEXT NOT NULL,
    address TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    sum BIGINT
);
