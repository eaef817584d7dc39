//! The proxy host: owns tunnels and transfers, leases and hand-over.
//!
//! One process of a user at a time is the host: the desktop app, or a small program of its own
//! when the app is not there. A lock file says which; tunnels and transfers outlive the process,
//! because everything needed to take them up is in the state folder.

pub mod autostart;
mod failed;
mod host;
mod lock;
#[cfg(unix)]
pub mod socket;

pub use host::{Changed, Config, Live, ProxyHost, StartError};
pub use lock::{HeldBy, Holder, held_by};
