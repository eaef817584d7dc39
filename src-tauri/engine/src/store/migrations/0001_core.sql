-- Who may do what, and what runs. Times are microseconds since 1970 UTC; ids are hyphenated UUIDs;
-- maps and lists are JSON text.

CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE domain (
    name                  TEXT PRIMARY KEY,
    description           TEXT NOT NULL DEFAULT '',
    is_active             INTEGER NOT NULL DEFAULT 1,
    total_resource_slots  TEXT NOT NULL DEFAULT '{}',
    allowed_vfolder_hosts TEXT NOT NULL DEFAULT '{}',
    created_at            INTEGER NOT NULL
) STRICT;

CREATE TABLE resource_group (
    name           TEXT PRIMARY KEY,
    description    TEXT NOT NULL DEFAULT '',
    is_active      INTEGER NOT NULL DEFAULT 1,
    is_public      INTEGER NOT NULL DEFAULT 1,
    scheduler      TEXT NOT NULL DEFAULT 'fifo',
    scheduler_opts TEXT NOT NULL DEFAULT '{}',
    created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE keypair_policy (
    name                               TEXT PRIMARY KEY,
    default_for_unspecified            TEXT NOT NULL DEFAULT 'UNLIMITED'
        CHECK (default_for_unspecified IN ('LIMITED', 'UNLIMITED')),
    total_resource_slots               TEXT NOT NULL DEFAULT '{}',
    max_session_lifetime               INTEGER NOT NULL DEFAULT 0,
    max_concurrent_sessions            INTEGER NOT NULL DEFAULT 0,
    max_concurrent_sftp_sessions       INTEGER NOT NULL DEFAULT 0,
    max_pending_session_count          INTEGER,
    max_pending_session_resource_slots TEXT,
    max_priority                       INTEGER,
    max_containers_per_session         INTEGER NOT NULL DEFAULT 1,
    idle_timeout                       INTEGER NOT NULL DEFAULT 0,
    allowed_vfolder_hosts              TEXT NOT NULL DEFAULT '{}',
    created_at                         INTEGER NOT NULL
) STRICT;

CREATE TABLE user_policy (
    name                                TEXT PRIMARY KEY,
    max_vfolder_count                   INTEGER NOT NULL DEFAULT 0,
    max_quota_scope_size                INTEGER NOT NULL DEFAULT -1,
    max_session_count_per_model_session INTEGER NOT NULL DEFAULT 0,
    max_customized_image_count          INTEGER NOT NULL DEFAULT 0,
    created_at                          INTEGER NOT NULL
) STRICT;

CREATE TABLE project_policy (
    name                 TEXT PRIMARY KEY,
    max_vfolder_count    INTEGER NOT NULL DEFAULT 0,
    max_quota_scope_size INTEGER NOT NULL DEFAULT -1,
    max_network_count    INTEGER NOT NULL DEFAULT 0,
    created_at           INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
    id                   TEXT PRIMARY KEY,
    name                 TEXT NOT NULL,
    description          TEXT NOT NULL DEFAULT '',
    is_active            INTEGER NOT NULL DEFAULT 1,
    domain               TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    type                 TEXT NOT NULL DEFAULT 'general',
    total_resource_slots TEXT NOT NULL DEFAULT '{}',
    resource_policy      TEXT NOT NULL REFERENCES project_policy (name),
    created_at           INTEGER NOT NULL,
    UNIQUE (domain, name)
) STRICT;

CREATE TABLE user (
    id                TEXT PRIMARY KEY,
    email             TEXT NOT NULL UNIQUE,
    username          TEXT NOT NULL UNIQUE,
    full_name         TEXT NOT NULL DEFAULT '',
    description       TEXT NOT NULL DEFAULT '',
    -- NULL: nobody can log in with a password.
    password_hash     TEXT,
    status            TEXT NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'inactive', 'deleted', 'before-verification')),
    role              TEXT NOT NULL CHECK (role IN ('superadmin', 'admin', 'user', 'monitor')),
    domain            TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    resource_policy   TEXT NOT NULL REFERENCES user_policy (name),
    -- Not a reference: a user and their first keypair refer to each other.
    main_access_key   TEXT,
    created_at        INTEGER NOT NULL,
    modified_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE user_project (
    user    TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    project TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    PRIMARY KEY (user, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE keypair (
    access_key       TEXT PRIMARY KEY,
    secret_key       TEXT NOT NULL,
    user             TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    is_active        INTEGER NOT NULL DEFAULT 1,
    is_admin         INTEGER NOT NULL DEFAULT 0,
    resource_policy  TEXT NOT NULL REFERENCES keypair_policy (name),
    -- Queries in 15 minutes; NULL: without limit.
    rate_limit       INTEGER,
    bootstrap_script TEXT NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    modified_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX keypair_user ON keypair (user);

CREATE TABLE session (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    type             TEXT NOT NULL,
    status           TEXT NOT NULL,
    status_info      TEXT,
    status_data      TEXT NOT NULL DEFAULT '{}',
    -- STATUS -> the time it was last entered (ISO).
    status_history   TEXT NOT NULL DEFAULT '{}',
    result           TEXT NOT NULL DEFAULT 'undefined',
    exit_code        INTEGER,
    user             TEXT NOT NULL REFERENCES user (id),
    access_key       TEXT NOT NULL REFERENCES keypair (access_key),
    domain           TEXT NOT NULL,
    project          TEXT NOT NULL REFERENCES project (id),
    resource_group   TEXT NOT NULL,
    image            TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    tag              TEXT,
    priority         INTEGER NOT NULL DEFAULT 10,
    cluster_mode     TEXT NOT NULL DEFAULT 'single-node',
    cluster_size     INTEGER NOT NULL DEFAULT 1,
    requested_slots  TEXT NOT NULL,
    occupied_slots   TEXT NOT NULL DEFAULT '{}',
    resource_opts    TEXT NOT NULL DEFAULT '{}',
    environ          TEXT NOT NULL DEFAULT '{}',
    mounts           TEXT NOT NULL DEFAULT '[]',
    preopen_ports    TEXT NOT NULL DEFAULT '[]',
    bootstrap_script TEXT,
    startup_command  TEXT,
    -- Seconds that a batch command may run; NULL: without limit.
    batch_timeout    REAL,
    starts_at        INTEGER,
    dependencies     TEXT NOT NULL DEFAULT '[]',
    callback_url     TEXT,
    -- Asked to end: why, and whether without waiting. Written before anything is stopped.
    terminate_reason TEXT,
    terminate_forced INTEGER NOT NULL DEFAULT 0,
    num_queries      INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    terminated_at    INTEGER
) STRICT;
-- A name belongs to one live session of its owner.
CREATE UNIQUE INDEX session_live_name ON session (user, name)
    WHERE status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR');
CREATE INDEX session_status ON session (status);
CREATE INDEX session_user ON session (user, created_at);

CREATE TABLE kernel (
    id             TEXT PRIMARY KEY,
    session        TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    role           TEXT NOT NULL DEFAULT 'main',
    idx            INTEGER NOT NULL DEFAULT 1,
    local_rank     INTEGER NOT NULL DEFAULT 0,
    hostname       TEXT NOT NULL DEFAULT 'main1',
    status         TEXT NOT NULL,
    status_info    TEXT,
    status_data    TEXT NOT NULL DEFAULT '{}',
    agent          TEXT,
    container_id   TEXT,
    service_ports  TEXT NOT NULL DEFAULT '[]',
    occupied_slots TEXT NOT NULL DEFAULT '{}',
    -- The computer's boot in which it was started.
    boot_id        TEXT,
    last_stat      TEXT,
    exit_code      INTEGER,
    started_at     INTEGER,
    terminated_at  INTEGER,
    -- When nothing was left of it: process, home, sockets.
    removed_at     INTEGER
) STRICT;
CREATE INDEX kernel_session ON kernel (session);
CREATE INDEX kernel_left ON kernel (session) WHERE removed_at IS NULL;

-- What a kernel printed last, kept when the kernel is gone.
CREATE TABLE kernel_log (
    kernel TEXT PRIMARY KEY REFERENCES kernel (id) ON DELETE CASCADE,
    text   TEXT NOT NULL
) STRICT;

-- Things that a session's owner should know: limits that are only advisory, no network, a process
-- that was killed for its memory.
CREATE TABLE notice (
    session TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    code    TEXT NOT NULL,
    message TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX notice_session ON notice (session);
