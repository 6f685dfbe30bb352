-- Specs apart from their sweeps, and what a sweep that has ended came to. SQLite's 0010 says more.
CREATE TABLE specs (
    sweep BIGINT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL,
    sum BIGINT
);
-- It is packed already.
ALTER TABLE specs ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE summaries (
    sweep BIGINT NOT NULL PRIMARY KEY,
    ended_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    sum BIGINT
);

CREATE INDEX sweeps_listed ON sweeps (id, state, name, submitter);
