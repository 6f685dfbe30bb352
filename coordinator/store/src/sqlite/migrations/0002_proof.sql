-- What the second release adds: checksums of rows, who did what, workers out of service, what was lost.
--
-- A checksum covers the key of its row and the columns that were written with it; store/seal.rs says which. Rows of the
-- first release have none until the first opening by this one gives them theirs.

ALTER TABLE sweeps ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN sum INTEGER;
ALTER TABLE sweeps ADD COLUMN state_sum INTEGER;
ALTER TABLE stages ADD COLUMN sum INTEGER;
ALTER TABLE stages ADD COLUMN state_sum INTEGER;
ALTER TABLE configurations ADD COLUMN sum INTEGER;
ALTER TABLE stage_configurations ADD COLUMN sum INTEGER;
ALTER TABLE trials ADD COLUMN sum INTEGER;
ALTER TABLE sweep_trials ADD COLUMN sum INTEGER;
ALTER TABLE rounds ADD COLUMN start_sum INTEGER;
ALTER TABLE rounds ADD COLUMN end_sum INTEGER;
-- The memory of the slot, where it was known: what ran out of it wants more.
ALTER TABLE attempts ADD COLUMN slot_memory_bytes INTEGER;
ALTER TABLE attempts ADD COLUMN start_sum INTEGER;
ALTER TABLE attempts ADD COLUMN end_sum INTEGER;
ALTER TABLE attempts ADD COLUMN log_sum INTEGER;
ALTER TABLE points ADD COLUMN sum INTEGER;
-- `answer_sum` covers what a restart needs of a result, `sum` the whole of it.
ALTER TABLE results ADD COLUMN answer_sum INTEGER;
ALTER TABLE results ADD COLUMN sum INTEGER;
ALTER TABLE validations ADD COLUMN sum INTEGER;
ALTER TABLE workers ADD COLUMN sum INTEGER;
ALTER TABLE descriptions ADD COLUMN sum INTEGER;
ALTER TABLE artifacts ADD COLUMN sum INTEGER;
ALTER TABLE counters ADD COLUMN sum INTEGER;

-- Workers that somebody, or the scheduler, took out of service; one that came back stays with state 0.
CREATE TABLE services (
    worker TEXT NOT NULL PRIMARY KEY,
    state INTEGER NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    sum INTEGER
) WITHOUT ROWID;

-- Who did what. State edges that rounds, attempts and sweeps keep anyway are not written twice: `audit_log` has both.
CREATE TABLE audit (
    id INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action INTEGER NOT NULL,
    sweep INTEGER,
    trial BLOB,
    attempt INTEGER,
    worker TEXT NOT NULL,
    detail TEXT NOT NULL,
    sum INTEGER
);
CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX audit_by_sweep ON audit (sweep) WHERE sweep IS NOT NULL;
CREATE INDEX audit_by_trial ON audit (trial) WHERE trial IS NOT NULL;
CREATE TRIGGER audit_is_not_rewritten BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Rows that were damaged and that somebody chose to go on without: which table, the key, and the columns as they were
-- found, as text.
CREATE TABLE lost (
    id INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    origin TEXT NOT NULL,
    row_key TEXT NOT NULL,
    content TEXT NOT NULL,
    reason TEXT NOT NULL
);

-- Everything that happened. `step` puts edges of one millisecond in their order; actions from 100 on are edges that other
-- tables keep.
CREATE VIEW audit_log AS
SELECT at_ms, 6 AS step, id AS number, actor, action, sweep, trial, attempt, worker, detail, sum FROM audit
UNION ALL
SELECT opened_ms, 1, round, 'coordinator', 100, NULL, trial, NULL, '', 'round ' || round, NULL FROM rounds
UNION ALL
SELECT assigned_ms, 2, key, 'coordinator', 101, NULL, trial, attempt, worker, 'slot ' || slot, NULL FROM attempts
UNION ALL
SELECT ended_ms, 3, key, worker, 102, NULL, trial, attempt, worker,
    CASE state WHEN 1 THEN 'succeeded' WHEN 2 THEN 'failed: ' || reason WHEN 3 THEN 'stopped' ELSE 'expired' END, NULL
    FROM attempts WHERE state > 0
UNION ALL
SELECT ended_ms, 4, round, 'coordinator', 103, NULL, trial, attempt, '',
    CASE state WHEN 1 THEN 'succeeded' WHEN 2 THEN 'failed: ' || reason ELSE 'cancelled' END, NULL
    FROM rounds WHERE state > 0
UNION ALL
SELECT ended_ms, 5, id, 'coordinator', 104, id, NULL, NULL, '',
    CASE state WHEN 2 THEN 'succeeded' WHEN 3 THEN 'failed: ' || reason ELSE 'cancelled' END, NULL
    FROM sweeps WHERE state > 1;
