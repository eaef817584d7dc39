-- When a password was last changed: where passwords have an age, an older one asks for a new one.
ALTER TABLE user ADD COLUMN password_changed_at INTEGER;
UPDATE user SET password_changed_at = modified_at WHERE password_hash IS NOT NULL;
