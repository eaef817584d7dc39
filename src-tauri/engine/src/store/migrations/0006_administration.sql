-- What administrators set: more about domains, projects, users, keypairs and resource groups, and
-- who may use which resource group.

ALTER TABLE domain ADD COLUMN allowed_docker_registries TEXT NOT NULL DEFAULT '["local"]';
ALTER TABLE domain ADD COLUMN integration_id TEXT;
-- Everybody had the folder host of this computer.
UPDATE domain SET allowed_vfolder_hosts = '{"local:default":["create-vfolder","modify-vfolder","delete-vfolder","mount-in-session","upload-file","download-file","invite-others","set-user-specific-permission"]}';

ALTER TABLE project ADD COLUMN allowed_vfolder_hosts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE project ADD COLUMN container_registry TEXT;
ALTER TABLE project ADD COLUMN integration_id TEXT;
UPDATE project SET allowed_vfolder_hosts = '{"local:default":["create-vfolder","modify-vfolder","delete-vfolder","mount-in-session","upload-file","download-file","invite-others","set-user-specific-permission"]}';

ALTER TABLE user ADD COLUMN need_password_change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN sudo_session_enabled INTEGER NOT NULL DEFAULT 0;
-- Addresses and networks that the user may come from: JSON list; NULL is any.
ALTER TABLE user ADD COLUMN allowed_client_ip TEXT;
ALTER TABLE user ADD COLUMN container_uid INTEGER;
ALTER TABLE user ADD COLUMN container_main_gid INTEGER;
ALTER TABLE user ADD COLUMN container_gids TEXT;

-- The private half is told once and not kept.
ALTER TABLE keypair ADD COLUMN ssh_public_key TEXT;

ALTER TABLE resource_group ADD COLUMN driver TEXT NOT NULL DEFAULT 'static';
ALTER TABLE resource_group ADD COLUMN driver_opts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE resource_group ADD COLUMN use_host_network INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource_group ADD COLUMN wsproxy_addr TEXT;
ALTER TABLE resource_group ADD COLUMN wsproxy_api_token TEXT;
-- How usage is counted for fair shares; what it does not name has its default.
ALTER TABLE resource_group ADD COLUMN fair_share_spec TEXT NOT NULL DEFAULT '{}';

-- Who may use a resource group: one of a domain, a project, a keypair.
CREATE TABLE resource_group_access (
    resource_group TEXT NOT NULL REFERENCES resource_group (name) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('domain', 'project', 'keypair')),
    -- The domain's name, the project's id, the access key.
    target         TEXT NOT NULL,
    PRIMARY KEY (kind, target, resource_group)
) STRICT, WITHOUT ROWID;
INSERT INTO resource_group_access (resource_group, kind, target)
    SELECT g.name, 'domain', d.name FROM resource_group g, domain d;

-- What administrators say about an agent; one that is not here serves the first group.
CREATE TABLE agent_setting (
    agent          TEXT PRIMARY KEY,
    resource_group TEXT REFERENCES resource_group (name) ON DELETE SET NULL,
    schedulable    INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Weights of fair shares; without a row the resource group's default counts.
CREATE TABLE fair_share_weight (
    resource_group TEXT NOT NULL REFERENCES resource_group (name) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('domain', 'project', 'user')),
    -- The domain's name, the project's id, `<project id>/<user id>`.
    target         TEXT NOT NULL,
    weight         REAL NOT NULL,
    PRIMARY KEY (resource_group, kind, target)
) STRICT, WITHOUT ROWID;

-- Files that sessions find in their home.
CREATE TABLE dotfile (
    kind       TEXT NOT NULL CHECK (kind IN ('keypair', 'project', 'domain')),
    owner      TEXT NOT NULL,
    path       TEXT NOT NULL,
    data       TEXT NOT NULL,
    -- Octal digits: 644.
    permission TEXT NOT NULL,
    PRIMARY KEY (kind, owner, path)
) STRICT, WITHOUT ROWID;

-- Folders of one user that another may use.
CREATE TABLE folder_permission (
    folder     TEXT NOT NULL REFERENCES folder (id) ON DELETE CASCADE,
    user       TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    permission TEXT NOT NULL CHECK (permission IN ('ro', 'rw', 'wd')),
    PRIMARY KEY (folder, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX folder_permission_user ON folder_permission (user);

CREATE TABLE folder_invitation (
    id          TEXT PRIMARY KEY,
    folder      TEXT NOT NULL REFERENCES folder (id) ON DELETE CASCADE,
    inviter     TEXT NOT NULL,
    invitee     TEXT NOT NULL,
    permission  TEXT NOT NULL CHECK (permission IN ('ro', 'rw', 'wd')),
    state       TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'canceled', 'accepted', 'rejected')),
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL
) STRICT;
CREATE INDEX folder_invitation_invitee ON folder_invitation (invitee, state);

-- Lists of sessions are read newest first, page by page.
CREATE INDEX session_created ON session (created_at DESC, id);
