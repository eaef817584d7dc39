CREATE TABLE image (
    id           TEXT PRIMARY KEY,
    -- `<registry>/<project>/<name>:<tag>`, the parts in between may be missing.
    name         TEXT NOT NULL,
    architecture TEXT NOT NULL,
    registry     TEXT NOT NULL,
    digest       TEXT NOT NULL DEFAULT '',
    size_bytes   INTEGER NOT NULL DEFAULT 0,
    labels       TEXT NOT NULL DEFAULT '{}',
    created_at   INTEGER NOT NULL,
    UNIQUE (name, architecture)
) STRICT;

CREATE TABLE image_alias (
    alias TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE
) STRICT;
