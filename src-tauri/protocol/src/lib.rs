//! The wire of the Backend.AI manager API, for both of its ends.
//!
//! Hidden here: how the protocol spells its nouns and numbers, which state may follow which, how a
//! request is signed and checked, and what an error body looks like. Nothing in this crate does
//! input or output, and nothing reads a clock: times are arguments.

pub mod api;
pub mod binary_size;
pub mod name;
pub mod probe;
pub mod problem;
#[cfg(test)]
mod properties;
pub mod runner;
pub mod service_port;
pub mod session;
pub mod signing;
pub mod slots;
pub mod version;
