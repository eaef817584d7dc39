//! The local proxy: listeners, ports, pumps and reconnection.
//!
//! A tunnel is a port on this computer's loopback that leads to a service inside a session: each
//! accepted connection becomes one dialled stream. Hidden here: which port, who may use it, what
//! a web page may ask for, how bytes are moved and what happens while the far end is out of
//! reach. How the far end is reached is the caller's business: see [`Dial`].

mod connection;
mod dial;
mod entry;
mod guard;
mod hash;
mod http;
mod page;
mod peer;
mod port;
mod public;
mod reach;
mod stock;
mod tunnel;
mod tunnels;
mod web;

pub use dial::{
    BoxHeld, BoxStream, Dial, DialError, Held, Progress, Service, Stage, Stream, Target, Waits,
};
pub use guard::Secret;
pub use page::{EnglishPages, PageText, Pages, Problem};
pub use port::{LocalPort, POOL, parse_pool};
pub use public::{BadNetwork, Network, Public};
pub use tunnel::{Change, FailedTry, OpenError, Options, Protocol, Request, State, Tunnel};
pub use tunnels::Tunnels;
