-- Milliseconds of an attempt in which it did not run. SQLite's 0007 says more.
CREATE TABLE pauses (
    attempt BIGINT NOT NULL PRIMARY KEY,
    ms BIGINT NOT NULL,
    sum BIGINT
);
