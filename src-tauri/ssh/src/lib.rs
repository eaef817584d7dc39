//! All of SSH: client and server ends, SFTP, keys, known hosts, our ssh_config file.
//!
//! Nobody else knows which SSH library is used. SFTP is spoken here without one: its speed comes
//! from many requests on their way at once and from file data that is never copied, which the
//! libraries at hand do not give. Streams come from the caller: nothing here dials or listens.

#[cfg(feature = "client")]
pub mod client;
#[cfg(all(unix, feature = "server"))]
pub mod server;
