//! Server-sent events of sessions and kernels (protocol page "Sessions" §13).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The data of a session or kernel event; its name stands in the frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEvent {
    /// Why: `user-requested`, `task-finished`, or nothing.
    pub reason: String,
    /// The session's name.
    pub session_name: String,
    /// Whose session it is.
    pub owner_access_key: String,
    /// The session.
    pub session_id: Uuid,
    /// How a batch job ended, where it is known.
    pub exit_code: Option<i32>,
    /// The kernel, in events of kernels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_id: Option<Uuid>,
    /// The kernel's role in its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_role: Option<String>,
    /// The kernel's place in its role, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_idx: Option<u32>,
}
