-- What was expected of an attempt before it ran: seconds of its slot with the ends of the 90 % interval, and memory.
-- Attempts that began while nothing was known, and those of earlier releases, have no row.
CREATE TABLE predictions (
    attempt INTEGER NOT NULL PRIMARY KEY,
    seconds REAL NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    memory_bytes INTEGER NOT NULL,
    sum INTEGER
);
