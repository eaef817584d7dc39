-- What was done about each session, step by step; tries that came to the same are one row.
CREATE TABLE scheduling_history (
    id          TEXT PRIMARY KEY,
    session     TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    phase       TEXT NOT NULL,
    from_status TEXT NOT NULL,
    to_status   TEXT,
    result      TEXT NOT NULL,
    error_code  TEXT,
    message     TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX scheduling_history_session ON scheduling_history (session, created_at);
