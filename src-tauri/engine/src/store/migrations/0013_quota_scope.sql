-- What administrators let a user or a project keep in folders, instead of what the policy says:
-- `user:<uuid>` or `project:<uuid>`, bytes.
CREATE TABLE quota_scope (
    id         TEXT PRIMARY KEY,
    hard_limit INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
