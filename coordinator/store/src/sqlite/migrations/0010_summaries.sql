-- What the tenth release of the layout adds: specs apart from their sweeps, and what a sweep that has ended came to.
--
-- `body` is the text, packed (store/packed.rs); the sweep's own column `spec` is empty then. Sweeps of earlier releases
-- have no row here and keep the text in their own column.
CREATE TABLE specs (
    sweep INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    sum INTEGER
);

-- Counted once when a sweep has ended, so that a later question reads no trial. `body` is JSON (store/summary.rs). A row
-- whose `ended_ms` is not the sweep's counts for nothing: the sweep went on and ended again.
CREATE TABLE summaries (
    sweep INTEGER NOT NULL PRIMARY KEY,
    ended_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    sum INTEGER
);

-- A list of sweeps is found here, without a look at a row that may have a long text in it.
CREATE INDEX sweeps_listed ON sweeps (id, state, name, submitter);
