//! The shells that a session keeps for the web terminal and for the desktop app. Its service
//! `ttyd` lists them at `GET /shells` and hangs one up at `DELETE /shells/<id>`; the WebSocket
//! `/ws?id=<id>` takes one up or starts it.

use serde::{Deserialize, Serialize};

/// Close code of the WebSocket when the shell has ended by itself.
pub const ENDED: u16 = 4000;

/// A shell that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellInfo {
    /// Its name, as whoever started it chose it.
    pub id: String,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// Name of the program in its foreground.
    pub running: String,
    /// Pages that look at it now.
    pub pages: usize,
}

/// Tells a shell the size of its screen, as a text message of the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width in characters.
    pub columns: u16,
    /// Height in characters.
    pub rows: u16,
}
