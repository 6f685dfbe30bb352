-- The first layout. Numbers of 64 bits without a sign are stored as the signed number of the same bits.
-- States are small numbers; store/codes.rs gives them their names.

-- What all trials of a sweep share: protocol, data reference, trainer semantics; canonical JSON under its own hash.
CREATE TABLE questions (
    digest BYTEA NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE sweeps (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    spec BYTEA NOT NULL,
    overrides TEXT NOT NULL,
    spec_digest BYTEA NOT NULL,
    submitter TEXT NOT NULL,
    priority BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    trial_limit BIGINT NOT NULL,
    dataset_key BYTEA NOT NULL,
    pin BYTEA,
    state BIGINT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    submitted_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sweeps_by_name ON sweeps (name, id);
CREATE INDEX sweeps_unfinished ON sweeps (state) WHERE state < 2;

-- `decided` numbers a sweep's choices in the order in which they were committed.
CREATE TABLE stages (
    sweep BIGINT NOT NULL,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    trials_at_most BIGINT NOT NULL,
    keep_best BIGINT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0,
    choice TEXT NOT NULL DEFAULT '',
    winner BIGINT,
    decided BIGINT,
    PRIMARY KEY (sweep, position)
);

CREATE TABLE configurations (
    sweep BIGINT NOT NULL,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    body TEXT NOT NULL,
    params BIGINT NOT NULL,
    flops BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    baseline BIGINT NOT NULL,
    PRIMARY KEY (sweep, position)
);

CREATE TABLE stage_configurations (
    sweep BIGINT NOT NULL,
    stage BIGINT NOT NULL,
    configuration BIGINT NOT NULL,
    PRIMARY KEY (sweep, configuration, stage)
);

CREATE TABLE trials (
    id BYTEA NOT NULL PRIMARY KEY,
    question BYTEA NOT NULL,
    configuration TEXT NOT NULL,
    seed BIGINT NOT NULL
);

-- A sweep's reference to a trial, bound to the round that it uses once that is settled.
CREATE TABLE sweep_trials (
    sweep BIGINT NOT NULL,
    configuration BIGINT NOT NULL,
    seed BIGINT NOT NULL,
    trial BYTEA NOT NULL,
    round BIGINT,
    reused BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (sweep, configuration, seed)
);
CREATE UNIQUE INDEX sweep_trials_by_trial ON sweep_trials (trial, sweep);

CREATE TABLE rounds (
    trial BYTEA NOT NULL,
    round BIGINT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0,
    attempt BIGINT,
    outcome BIGINT,
    class BIGINT,
    reason TEXT NOT NULL DEFAULT '',
    opened_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (trial, round)
);
CREATE INDEX rounds_open ON rounds (state) WHERE state = 0;

CREATE TABLE attempts (
    key BIGINT NOT NULL PRIMARY KEY,
    trial BYTEA NOT NULL,
    round BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    worker TEXT NOT NULL,
    session BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    device TEXT NOT NULL,
    state BIGINT NOT NULL DEFAULT 0,
    class BIGINT,
    reason TEXT NOT NULL DEFAULT '',
    assigned_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL DEFAULT 0,
    start_seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
    run_seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
    log_tail TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX attempts_by_trial ON attempts (trial, attempt);
CREATE INDEX attempts_live ON attempts (state) WHERE state = 0;

CREATE TABLE points (
    attempt BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    train_loss DOUBLE PRECISION NOT NULL,
    train_accuracy DOUBLE PRECISION NOT NULL,
    val_loss DOUBLE PRECISION NOT NULL,
    val_accuracy DOUBLE PRECISION NOT NULL,
    learning_rate DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    images_per_second DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (attempt, sequence)
);

-- `last_epoch` and `best_epoch` are 0 where no epoch had finite numbers.
CREATE TABLE results (
    attempt BIGINT NOT NULL PRIMARY KEY,
    outcome BIGINT NOT NULL,
    last_epoch BIGINT NOT NULL,
    last_train_loss DOUBLE PRECISION NOT NULL,
    last_train_accuracy DOUBLE PRECISION NOT NULL,
    last_val_loss DOUBLE PRECISION NOT NULL,
    last_val_accuracy DOUBLE PRECISION NOT NULL,
    last_learning_rate DOUBLE PRECISION NOT NULL,
    last_seconds DOUBLE PRECISION NOT NULL,
    last_images_per_second DOUBLE PRECISION NOT NULL,
    best_epoch BIGINT NOT NULL,
    best_train_loss DOUBLE PRECISION NOT NULL,
    best_train_accuracy DOUBLE PRECISION NOT NULL,
    best_val_loss DOUBLE PRECISION NOT NULL,
    best_val_accuracy DOUBLE PRECISION NOT NULL,
    best_learning_rate DOUBLE PRECISION NOT NULL,
    best_seconds DOUBLE PRECISION NOT NULL,
    best_images_per_second DOUBLE PRECISION NOT NULL,
    params BIGINT NOT NULL,
    images_per_second DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    peak_memory_bytes BIGINT NOT NULL,
    data_digest BYTEA NOT NULL,
    split_digest BYTEA NOT NULL,
    device TEXT NOT NULL,
    device_name TEXT NOT NULL,
    instruction_set TEXT NOT NULL,
    trainer TEXT NOT NULL,
    threads BIGINT NOT NULL
);

-- Large and seldom read, so apart from the results: `sweep.v1.Validation`, encoded.
CREATE TABLE validations (
    attempt BIGINT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL
);

CREATE TABLE workers (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    session BIGINT NOT NULL,
    slots TEXT NOT NULL,
    labels TEXT NOT NULL,
    seen_ms BIGINT NOT NULL
);

CREATE TABLE descriptions (
    dataset_key BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    classes TEXT NOT NULL,
    channels BIGINT NOT NULL,
    train_images BIGINT NOT NULL,
    test_images BIGINT NOT NULL,
    PRIMARY KEY (dataset_key, digest)
);

-- `owner` is the attempt's key for logs and weights, 0 for thumbnails.
CREATE TABLE artifacts (
    digest BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    data_digest BYTEA,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (digest, kind, owner)
);
CREATE INDEX artifacts_by_owner ON artifacts (owner);
CREATE INDEX artifacts_by_data ON artifacts (data_digest);

-- Numbers that are never given twice.
CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Who may write. Every transaction that writes holds the term's row by its key, so `term` is one: a takeover changes it
-- and waits for them, a renewal leaves it alone and does not. SQLite has a lock file instead.
CREATE TABLE leader (
    id BIGINT NOT NULL PRIMARY KEY,
    term BIGINT NOT NULL UNIQUE,
    holder TEXT NOT NULL,
    address TEXT NOT NULL,
    deadline TIMESTAMPTZ NOT NULL
);
INSERT INTO leader (id, term, holder, address, deadline) VALUES (1, 0, '', '', 'epoch');
