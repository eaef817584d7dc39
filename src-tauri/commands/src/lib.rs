//! The command table: everything that the window, the browser and the terminal can ask for.
//!
//! Hides which crate does a thing, in which process, and how its errors look; outside there are
//! names, JSON in snake case and [`types::Failure`].

mod account;
mod account_remote;
mod app;
mod app_launch;
pub mod bindings;
mod browser;
mod certificate;
mod context;
mod doctor;
mod editor;
mod engine;
mod environment;
mod events;
mod facade;
mod failed_launch;
mod failure;
mod file;
mod folder;
mod folder_store;
mod history;
mod host;
mod image;
mod image_store;
mod leave;
mod links;
mod logins;
mod mounts;
mod network;
mod pages;
mod reach;
mod seat;
mod session;
mod session_row;
mod socket;
mod ssh;
mod ssh_keypair;
mod system;
pub mod table;
mod terminal;
mod transfer;
mod tunnel;
pub mod types;
mod waiting;
mod web_apps;

pub use app_launch::DEFAULT_START_LIMIT;
pub use browser::is_of_this_computer;
pub use facade::{LiveWork, Message, MessageStream, Options, Table};
pub use host::{DragAsk, DragOffer, Dropped, Host};
pub use protocol::binary_size::{BinarySize, InvalidSize};
pub use settings;
pub use table::Surface;
