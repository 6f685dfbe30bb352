-- Keys that belong to the store and to no user. `browser sessions`: what the session cookies of browsers are sealed under, 32
-- random bytes. The tokens in those cookies are not in the store, so this key alone opens nothing.
CREATE TABLE keys (
    name TEXT NOT NULL PRIMARY KEY,
    content BLOB NOT NULL,
    made_ms INTEGER NOT NULL,
    sum INTEGER
);
