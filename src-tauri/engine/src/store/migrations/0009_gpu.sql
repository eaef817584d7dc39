-- UUIDs of the GPUs that a kernel has, or had, as a JSON list.
ALTER TABLE kernel ADD COLUMN gpus TEXT NOT NULL DEFAULT '[]';
