-- What clients and administrators wrote down as errors, for whoever looks after the manager.
CREATE TABLE error_log (
    id             TEXT PRIMARY KEY,
    created_at     INTEGER NOT NULL,
    severity       TEXT NOT NULL CHECK (severity IN ('critical', 'error', 'warning')),
    source         TEXT NOT NULL,
    user           TEXT REFERENCES user (id) ON DELETE SET NULL,
    is_read        INTEGER NOT NULL DEFAULT 0,
    is_cleared     INTEGER NOT NULL DEFAULT 0,
    message        TEXT NOT NULL,
    context_lang   TEXT NOT NULL,
    context_env    TEXT NOT NULL,
    request_url    TEXT,
    request_status INTEGER,
    traceback      TEXT
) STRICT;
CREATE INDEX error_log_created ON error_log (created_at DESC, id);
CREATE INDEX error_log_user ON error_log (user, created_at DESC, id);
