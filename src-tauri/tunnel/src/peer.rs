//! Who is at the other end of a loopback connection. A loopback port is open to every account of
//! the computer; a tunnel serves only the account that opened it (and root, who can do anything).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{holder, is_allowed};

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_allowed(_peer: std::net::SocketAddr, _local: std::net::SocketAddr) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn holder(_port: u16) -> Option<String> {
    None
}
