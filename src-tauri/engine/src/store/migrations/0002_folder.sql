-- Data folders. Their files lie on the disk under the id.
CREATE TABLE folder (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    host       TEXT NOT NULL,
    -- The owner: a user or a project.
    user       TEXT REFERENCES user (id),
    project    TEXT REFERENCES project (id),
    -- The maker's e-mail address, kept when the maker is gone.
    creator    TEXT NOT NULL,
    usage_mode TEXT NOT NULL DEFAULT 'general' CHECK (usage_mode IN ('general', 'model', 'data')),
    permission TEXT NOT NULL DEFAULT 'rw' CHECK (permission IN ('ro', 'rw', 'wd')),
    cloneable  INTEGER NOT NULL DEFAULT 0,
    status     TEXT NOT NULL DEFAULT 'ready',
    created_at INTEGER NOT NULL,
    -- When a session last mounted it.
    last_used  INTEGER,
    CHECK ((user IS NULL) <> (project IS NULL))
) STRICT;
-- A folder in the trash gives its name free.
CREATE UNIQUE INDEX folder_user_name ON folder (user, name)
    WHERE user IS NOT NULL AND status NOT LIKE 'delete-%';
CREATE UNIQUE INDEX folder_project_name ON folder (project, name)
    WHERE project IS NOT NULL AND status NOT LIKE 'delete-%';
