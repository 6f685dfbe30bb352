-- What the eighth layout adds: which worker took each name last. `folder` names its state folder and `process`
-- its process, both as hashes; `held` is 0 once the worker has left, or its lease has run out. `since_ms` is when this
-- process took the name. Names of earlier releases have no row, and are free after the first restart.
CREATE TABLE names (
    worker TEXT NOT NULL PRIMARY KEY,
    folder INTEGER NOT NULL,
    process INTEGER NOT NULL,
    held INTEGER NOT NULL,
    host TEXT NOT NULL,
    address TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    sum INTEGER
) WITHOUT ROWID;
