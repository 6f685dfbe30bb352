-- What the ninth release of the layout adds: sweeps whose rest is held back because their first trials failed alike.
-- `failed`: how many did; 0 once the sweep goes on. `class` and `reason`: of the first of these failures. `canaries`: the ids
-- of the trials that are tried all the same, 32 bytes each.
CREATE TABLE holds (
    sweep INTEGER NOT NULL PRIMARY KEY,
    failed INTEGER NOT NULL,
    class INTEGER,
    reason TEXT NOT NULL,
    canaries BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    sum INTEGER
);
