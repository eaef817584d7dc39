-- Python environments of the computer that the session may read: JSON list of absolute paths.
ALTER TABLE session ADD COLUMN environments TEXT NOT NULL DEFAULT '[]';
