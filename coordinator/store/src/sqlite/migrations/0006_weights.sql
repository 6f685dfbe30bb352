-- Whose weights are kept of sweeps with `keep_weights: winner`. A sweep gets a row in `weight_choices` when it ends: then a
-- winner is due, and `settled` turns 1 when there is one. Until then, and for a sweep without a row, all weights are kept;
-- afterwards those of the configurations in `weights_kept`. A sweep that goes on loses its rows here.
CREATE TABLE weight_choices (
    sweep INTEGER NOT NULL PRIMARY KEY,
    ended_ms INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    sum INTEGER
);

CREATE TABLE weights_kept (
    sweep INTEGER NOT NULL,
    configuration INTEGER NOT NULL,
    sum INTEGER,
    PRIMARY KEY (sweep, configuration)
) WITHOUT ROWID;

-- Contents that no artifact has any more: their files are still to be removed.
CREATE TABLE removals (
    digest BLOB NOT NULL PRIMARY KEY,
    sum INTEGER
) WITHOUT ROWID;
