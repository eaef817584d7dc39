-- What is known of an image beyond its name: whether it is here, and what an administrator changed.
CREATE TABLE image_state (
    image     TEXT PRIMARY KEY REFERENCES image (id) ON DELETE CASCADE,
    status    TEXT NOT NULL DEFAULT 'ALIVE' CHECK (status IN ('ALIVE', 'DELETED')),
    -- Of an unpacked image: its layers and what its configuration says. JSON.
    content   TEXT,
    -- Labels in place of the image's own. JSON.
    overrides TEXT NOT NULL DEFAULT '{}'
) STRICT;

-- What a session's root was made of: stays on the disk while the session has it.
CREATE TABLE session_image (
    session TEXT PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE container_registry (
    id            TEXT PRIMARY KEY,
    url           TEXT NOT NULL,
    registry_name TEXT NOT NULL,
    type          TEXT NOT NULL,
    project       TEXT NOT NULL DEFAULT '',
    username      TEXT NOT NULL DEFAULT '',
    password      TEXT NOT NULL DEFAULT '',
    ssl_verify    INTEGER NOT NULL DEFAULT 1,
    is_global     INTEGER NOT NULL DEFAULT 1,
    extra         TEXT NOT NULL DEFAULT '{}',
    UNIQUE (registry_name, project)
) STRICT;
