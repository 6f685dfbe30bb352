-- What the fifth release of the layout adds: tokens. `id` is the first digits of `digest`, which is BLAKE3 of a secret that
-- is not kept. `role`: 1 read, 2 submit, 3 admin, 4 worker. `expires_ms` is NULL for a token that does not end by itself,
-- `revoked_ms` for one that nobody revoked. Rows are never removed: a store that had a token needs one for ever.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role INTEGER NOT NULL,
    digest BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER,
    sum INTEGER,
    state_sum INTEGER
);
