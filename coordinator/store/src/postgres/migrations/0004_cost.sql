-- What was expected of an attempt before it ran. SQLite's 0004 says more.
CREATE TABLE predictions (
    attempt BIGINT NOT NULL PRIMARY KEY,
    seconds DOUBLE PRECISION NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    memory_bytes BIGINT NOT NULL,
    sum BIGINT
);
