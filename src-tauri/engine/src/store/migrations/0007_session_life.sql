-- Settings of the installation as a tree of keys: `config/idle/enabled`.
CREATE TABLE config (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When the user of a running session last exchanged data with it, to the minute.
CREATE TABLE last_access (
    session TEXT PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX kernel_terminated ON kernel (terminated_at);
