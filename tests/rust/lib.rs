//! Black-box tests: real processes, real peers.
//!
//! Hides how a test gets a home of its own: temporary folders, a virtual display, a session bus
//! with an unlocked keyring, and the real app driven through WebKit's own driver.

pub mod chromium;
pub mod computer;
pub mod corporate;
pub mod drag;
pub mod editing;
pub mod files;
pub mod gateway;
pub mod home;
pub mod journey;
pub mod link;
pub mod local_port;
pub mod manager;
pub mod panel;
pub mod peer;
pub mod process;
pub mod registry;
pub mod repository;
pub mod screen;
pub mod secured;
pub mod served_ui;
pub mod web_server;
pub mod window;
