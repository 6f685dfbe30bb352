-- What the ninth release of the layout adds: sweeps whose rest is held back. SQLite's 0009 says more.
CREATE TABLE holds (
    sweep BIGINT NOT NULL PRIMARY KEY,
    failed BIGINT NOT NULL,
    class BIGINT,
    reason TEXT NOT NULL,
    canaries BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    sum BIGINT
);
