-- The first layout. Numbers of 64 bits without a sign are stored as the signed number of the same bits.
-- States are small numbers; store/codes.rs gives them their names.

-- What all trials of a sweep share: protocol, data reference, trainer semantics; canonical JSON under its own hash.
CREATE TABLE questions (
    digest BLOB NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sweeps (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    spec BLOB NOT NULL,
    overrides TEXT NOT NULL,
    spec_digest BLOB NOT NULL,
    submitter TEXT NOT NULL,
    priority INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    trial_limit INTEGER NOT NULL,
    dataset_key BLOB NOT NULL,
    pin BLOB,
    state INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    submitted_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sweeps_by_name ON sweeps (name, id);
CREATE INDEX sweeps_unfinished ON sweeps (state) WHERE state < 2;

-- `decided` numbers a sweep's choices in the order in which they were committed.
CREATE TABLE stages (
    sweep INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    trials_at_most INTEGER NOT NULL,
    keep_best INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    choice TEXT NOT NULL DEFAULT '',
    winner INTEGER,
    decided INTEGER,
    PRIMARY KEY (sweep, position)
) WITHOUT ROWID;

CREATE TABLE configurations (
    sweep INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    body TEXT NOT NULL,
    params INTEGER NOT NULL,
    flops INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    baseline INTEGER NOT NULL,
    PRIMARY KEY (sweep, position)
) WITHOUT ROWID;

CREATE TABLE stage_configurations (
    sweep INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    configuration INTEGER NOT NULL,
    PRIMARY KEY (sweep, configuration, stage)
) WITHOUT ROWID;

CREATE TABLE trials (
    id BLOB NOT NULL PRIMARY KEY,
    question BLOB NOT NULL,
    configuration TEXT NOT NULL,
    seed INTEGER NOT NULL
) WITHOUT ROWID;

-- A sweep's reference to a trial, bound to the round that it uses once that is settled.
CREATE TABLE sweep_trials (
    sweep INTEGER NOT NULL,
    configuration INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    trial BLOB NOT NULL,
    round INTEGER,
    reused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sweep, configuration, seed)
) WITHOUT ROWID;
CREATE UNIQUE INDEX sweep_trials_by_trial ON sweep_trials (trial, sweep);

CREATE TABLE rounds (
    trial BLOB NOT NULL,
    round INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER,
    outcome INTEGER,
    class INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    opened_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (trial, round)
) WITHOUT ROWID;
CREATE INDEX rounds_open ON rounds (state) WHERE state = 0;

CREATE TABLE attempts (
    key INTEGER NOT NULL PRIMARY KEY,
    trial BLOB NOT NULL,
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    session INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    device TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    class INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    assigned_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL DEFAULT 0,
    start_seconds REAL NOT NULL DEFAULT 0,
    run_seconds REAL NOT NULL DEFAULT 0,
    log_tail TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX attempts_by_trial ON attempts (trial, attempt);
CREATE INDEX attempts_live ON attempts (state) WHERE state = 0;

CREATE TABLE points (
    attempt INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss REAL NOT NULL,
    train_accuracy REAL NOT NULL,
    val_loss REAL NOT NULL,
    val_accuracy REAL NOT NULL,
    learning_rate REAL NOT NULL,
    seconds REAL NOT NULL,
    images_per_second REAL NOT NULL,
    PRIMARY KEY (attempt, sequence)
) WITHOUT ROWID;

-- `last_epoch` and `best_epoch` are 0 where no epoch had finite numbers.
CREATE TABLE results (
    attempt INTEGER NOT NULL PRIMARY KEY,
    outcome INTEGER NOT NULL,
    last_epoch INTEGER NOT NULL,
    last_train_loss REAL NOT NULL,
    last_train_accuracy REAL NOT NULL,
    last_val_loss REAL NOT NULL,
    last_val_accuracy REAL NOT NULL,
    last_learning_rate REAL NOT NULL,
    last_seconds REAL NOT NULL,
    last_images_per_second REAL NOT NULL,
    best_epoch INTEGER NOT NULL,
    best_train_loss REAL NOT NULL,
    best_train_accuracy REAL NOT NULL,
    best_val_loss REAL NOT NULL,
    best_val_accuracy REAL NOT NULL,
    best_learning_rate REAL NOT NULL,
    best_seconds REAL NOT NULL,
    best_images_per_second REAL NOT NULL,
    params INTEGER NOT NULL,
    images_per_second REAL NOT NULL,
    seconds REAL NOT NULL,
    peak_memory_bytes INTEGER NOT NULL,
    data_digest BLOB NOT NULL,
    split_digest BLOB NOT NULL,
    device TEXT NOT NULL,
    device_name TEXT NOT NULL,
    instruction_set TEXT NOT NULL,
    trainer TEXT NOT NULL,
    threads INTEGER NOT NULL
);

-- Large and seldom read, so apart from the results: `sweep.v1.Validation`, encoded.
CREATE TABLE validations (
    attempt INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
);

CREATE TABLE workers (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    session INTEGER NOT NULL,
    slots TEXT NOT NULL,
    labels TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE descriptions (
    dataset_key BLOB NOT NULL,
    digest BLOB NOT NULL,
    classes TEXT NOT NULL,
    channels INTEGER NOT NULL,
    train_images INTEGER NOT NULL,
    test_images INTEGER NOT NULL,
    PRIMARY KEY (dataset_key, digest)
) WITHOUT ROWID;

-- `owner` is the attempt's key for logs and weights, 0 for thumbnails.
CREATE TABLE artifacts (
    digest BLOB NOT NULL,
    kind INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    data_digest BLOB,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (digest, kind, owner)
) WITHOUT ROWID;
CREATE INDEX artifacts_by_owner ON artifacts (owner);
CREATE INDEX artifacts_by_data ON artifacts (data_digest);

-- Numbers that are never given twice.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
