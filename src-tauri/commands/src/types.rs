//! The nouns of the command table as they cross to the window, the browser, the socket and
//! `--json`: snake case, times as ISO 8601 in UTC, sizes in bytes.

mod account;
mod app;
mod browse;
mod environment;
mod failure;
mod file;
mod folder;
mod history;
mod image;
mod leave;
mod session;
mod session_life;
mod ssh;
mod system;
mod tunnel;

pub use account::*;
pub use app::*;
pub use browse::*;
pub use environment::*;
pub use failure::*;
pub use file::*;
pub use folder::*;
pub use history::*;
pub use image::*;
pub use leave::*;
pub use session::*;
pub use session_life::*;
pub use ssh::*;
pub use system::*;
pub use tunnel::*;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// No parameters, or nothing to tell: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Nothing {}
