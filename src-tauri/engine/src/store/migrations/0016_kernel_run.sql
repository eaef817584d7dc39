-- Runs of kernels that were over before their sessions were: who gives way begins again from
-- scratch, and what was used until then stays used.
CREATE TABLE kernel_run (
    kernel         TEXT NOT NULL REFERENCES kernel (id) ON DELETE CASCADE,
    started_at     INTEGER NOT NULL,
    terminated_at  INTEGER NOT NULL,
    agent          TEXT,
    container_id   TEXT,
    occupied_slots TEXT NOT NULL,
    last_stat      TEXT,
    PRIMARY KEY (kernel, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX kernel_run_terminated ON kernel_run (terminated_at);
