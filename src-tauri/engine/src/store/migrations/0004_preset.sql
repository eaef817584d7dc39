CREATE TABLE preset (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    resource_slots TEXT NOT NULL,
    -- Bytes.
    shared_memory  INTEGER,
    -- NULL: offered in every resource group.
    resource_group TEXT REFERENCES resource_group (name) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX preset_name ON preset (name, coalesce(resource_group, ''));
