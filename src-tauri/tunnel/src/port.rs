//! Which local port a tunnel listens on, and who holds a port that is taken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::TcpListener;

use crate::dial::Target;
use crate::tunnels::OpenError;

/// How the local port of a tunnel is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(tag = "choice", content = "port", rename_all = "snake_case")]
pub enum LocalPort {
    /// This port or an error.
    Fixed(u16),
    /// This port when it is free, else as [`LocalPort::Stable`].
    Preferred(u16),
    /// A port that follows from profile, session name and service, so that bookmarks and saved
    /// hosts stay valid; the next free one of the pool when it is taken.
    Stable,
}

/// The pool that stable ports come from: below the ranges from which operating systems take
/// ports of outgoing connections (Linux from 32768, the others from 49152).
pub const POOL: RangeInclusive<u16> = 20000..=29999;

/// How many ports of the pool are tried before the system is asked for any free one.
const TRIES: u16 = 64;

/// The listening sockets of one tunnel: IPv4 loopback, and IPv6 loopback where there is one.
pub(crate) struct Listeners {
    pub(crate) v4: TcpListener,
    pub(crate) v6: Option<TcpListener>,
    pub(crate) port: u16,
}

pub(crate) async fn bind(
    choice: LocalPort,
    pool: &RangeInclusive<u16>,
    target: &Target,
) -> Result<Listeners, OpenError> {
    match choice {
        LocalPort::Fixed(port) => listen(port).await.map_err(|source| taken(port, source)),
        LocalPort::Preferred(port) => match listen(port).await {
            Ok(listeners) => Ok(listeners),
            Err(_) => stable(pool, target).await,
        },
        LocalPort::Stable => stable(pool, target).await,
    }
}

async fn stable(pool: &RangeInclusive<u16>, target: &Target) -> Result<Listeners, OpenError> {
    let size = u64::from(pool.end().saturating_sub(*pool.start())) + 1;
    let first = place(target) % size;
    for step in 0..u64::from(TRIES).min(size) {
        let offset = (first + step) % size;
        let Ok(offset) = u16::try_from(offset) else {
            break;
        };
        if let Ok(listeners) = listen(pool.start() + offset).await {
            return Ok(listeners);
        }
    }
    listen(0)
        .await
        .map_err(|source| OpenError::Listen { port: 0, source })
}

/// FNV-1a (Fowler, Noll, Vo; 64 bits) over what names the tunnel. The standard library's hasher
/// may change between releases, and the port must not.
fn place(target: &Target) -> u64 {
    let label = target.service.label();
    let parts = [
        target.profile.as_str(),
        target.session_name.as_str(),
        label.as_str(),
    ];
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

async fn listen(port: u16) -> io::Result<Listeners> {
    let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let port = v4.local_addr()?.port();
    // A browser tries ::1 first for `localhost`; a port that another program holds there would
    // get the user's requests, so such a port counts as taken.
    let v6 = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(_) => None,
    };
    Ok(Listeners { v4, v6, port })
}

fn taken(port: u16, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::AddrInUse {
        OpenError::PortInUse {
            port,
            holder: crate::peer::holder(port),
        }
    } else {
        OpenError::Listen { port, source }
    }
}
