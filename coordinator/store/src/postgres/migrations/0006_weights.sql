-- Whose weights are kept of sweeps with `keep_weights: winner`. SQLite's 0006 says more.
CREATE TABLE weight_choices (
    sweep BIGINT NOT NULL PRIMARY KEY,
    ended_ms BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    sum BIGINT
);

CREATE TABLE weights_kept (
    sweep BIGINT NOT NULL,
    configuration BIGINT NOT NULL,
    sum BIGINT,
    PRIMARY KEY (sweep, configuration)
);

CREATE TABLE removals (
    digest BYTEA NOT NULL PRIMARY KEY,
    sum BIGINT
);
