-- Milliseconds of an attempt in which it did not run: its worker was stopped, or the machine slept. They are no cost. An
-- attempt without a row ran all the time, or is of an earlier release.
CREATE TABLE pauses (
    attempt INTEGER NOT NULL PRIMARY KEY,
    ms INTEGER NOT NULL,
    sum INTEGER
);
