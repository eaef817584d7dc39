//! Bodies of requests and answers, by noun. Field names are the wire's; aliases are those that
//! clients of other ages send.

pub mod auth;
pub mod event;
pub mod folder;
pub mod gangway;
pub mod image;
pub mod session;
