-- When it was certain that nothing of a kernel runs any more. Until then it holds its resources,
-- whatever its status says.
ALTER TABLE kernel ADD COLUMN halted_at INTEGER;
UPDATE kernel SET halted_at = coalesce(terminated_at, 0)
WHERE status IN ('TERMINATED', 'CANCELLED', 'ERROR');
CREATE INDEX kernel_held ON kernel (session) WHERE halted_at IS NULL;

-- The agents that a session may go to (JSON list); empty for any.
ALTER TABLE session ADD COLUMN agent_list TEXT NOT NULL DEFAULT '[]';

-- Registries bind the domains that do not list them from now on: those that are there were used.
UPDATE domain SET allowed_docker_registries = (
    SELECT json_group_array(value) FROM (
        SELECT value FROM json_each(domain.allowed_docker_registries)
        UNION SELECT registry_name FROM container_registry
    )
);
