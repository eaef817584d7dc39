//! Speaks the manager API: to the bundled engine and to a real cluster alike.
//!
//! Hidden here: signing, API versions, which requests may be sent again, GraphQL, server-sent
//! events, uploads in pieces, the WebSocket below a tunnel, and how the bundled engine is found
//! and started. Nouns of the protocol go in and come out; every error keeps what the manager said.

mod answer;
mod app_proxy;
mod auth;
mod background;
mod call;
mod certificate;
mod clock;
mod connect;
mod connection;
mod discover;
mod engine;
mod error;
mod event;
mod extension;
mod folder;
mod graphql;
mod image;
mod mounts;
mod network;
mod registry;
mod resource;
mod retry;
mod session;
mod shell;
mod ssh_keypair;
mod storage;
mod stream;
mod versions;
mod web_app;

pub use app_proxy::Share;
pub use auth::{Credentials, Keypair, LoggedIn, Login, Owner, WebSession};
pub use background::TaskNews;
pub use certificate::{Fingerprint, Pins, Shown, certificate};
pub use connection::Client;
pub use discover::{Discovered, Doorway, discover};
pub use engine::{Beacon, Launch, LocalEngine};
pub use error::{EngineError, Error, Found};
pub use event::{EventFeed, SessionNews};
pub use extension::{InstallEvent, LogNews};
pub use image::ImageRow;
pub use network::Network;
pub use resource::{CheckedPresets, PresetRow};
pub use session::{KernelRow, Ran, SessionPage, SessionQuery, SessionRow};
pub use shell::{ShellReader, ShellWriter};
pub use storage::{Download, Upload};
pub use stream::{ServiceStream, StartOptions};
pub use web_app::WebApp;

pub use protocol;
