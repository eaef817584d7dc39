-- Who gives way to whom: to a session of a higher job priority, and only who may.
ALTER TABLE session ADD COLUMN job_priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN is_preemptible INTEGER NOT NULL DEFAULT 1;
