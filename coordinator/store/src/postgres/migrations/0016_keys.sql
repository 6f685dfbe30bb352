-- Keys that belong to the store and to no user. SQLite's 0016 says more.
CREATE TABLE keys (
    name TEXT NOT NULL PRIMARY KEY,
    content BYTEA NOT NULL,
    made_ms BIGINT NOT NULL,
    sum BIGINT
);
