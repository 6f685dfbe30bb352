-- Sweeps that a person deleted. The row is written in the commit that removes the sweep's own row, and stays: the number of
-- a sweep is never given twice. What only this sweep referred to is removed afterwards, piece by piece; until then
-- `finished_ms` is 0. `trials`: those that went; `kept`: those that another sweep refers to. `artifact_bytes`: of contents
-- whose files went; `store_bytes`: given back to the file system.
CREATE TABLE deletions (
    sweep INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    submitter TEXT NOT NULL,
    pin BLOB,
    actor TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    finished_ms INTEGER NOT NULL,
    trials INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    artifacts INTEGER NOT NULL,
    artifact_bytes INTEGER NOT NULL,
    store_bytes INTEGER NOT NULL,
    sum INTEGER,
    state_sum INTEGER
);
CREATE INDEX deletions_unfinished ON deletions (finished_ms) WHERE finished_ms = 0;
