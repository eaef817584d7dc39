//! The local proxy: listeners, ports, pumps and reconnection.
//!
//! A tunnel is a port on this computer's loopback that leads to a service inside a session: each
//! accepted connection becomes one dialled stream. Hidden here: which port, who may use it, what
//! a web page may ask for, how bytes are moved and what happens while the far end is out of
//! reach. How the far end is reached is the caller's business: see [`Dial`].

mod connection;
mod dial;
mod http;
mod page;
mod peer;
mod port;
mod pump;
mod tunnels;

pub use dial::{BoxStream, Dial, DialError, Service, Stage, Stream, Target};
pub use page::{EnglishPages, PageText, Pages, Problem};
pub use port::{LocalPort, POOL};
pub use tunnels::{Change, OpenError, Options, Protocol, Request, State, Tunnel, Tunnels};
