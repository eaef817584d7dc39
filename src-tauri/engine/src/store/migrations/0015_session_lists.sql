-- A user's sessions newest first, page by page without sorting, and those of one name.
DROP INDEX session_user;
CREATE INDEX session_user_created ON session (user, created_at DESC, id);
CREATE INDEX session_user_name ON session (user, name, created_at DESC, id);

-- The kernels of a session in their order, the main one first.
DROP INDEX kernel_session;
CREATE INDEX kernel_rank ON kernel (session, local_rank);
