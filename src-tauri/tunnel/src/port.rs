//! Which local port a tunnel listens on, and who holds a port that is taken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::TcpListener;

use crate::dial::Target;
use crate::hash;
use crate::tunnel::OpenError;

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

/// Ports that a user may ask for.
const ASKABLE: RangeInclusive<u16> = 1025..=65534;

/// The listening sockets of one tunnel: IPv4 (loopback, or everywhere for a public one), and IPv6
/// loopback where there is one.
pub(crate) struct Listeners {
    pub(crate) v4: TcpListener,
    pub(crate) v6: Option<TcpListener>,
    pub(crate) port: u16,
}

/// Listens as `choice` says, at `address`; 0 as a fixed port stands for any.
pub(crate) async fn bind(
    choice: LocalPort,
    pool: &[RangeInclusive<u16>],
    target: &Target,
    address: Ipv4Addr,
) -> Result<Listeners, OpenError> {
    if let LocalPort::Fixed(port) | LocalPort::Preferred(port) = choice
        && port != 0
        && !ASKABLE.contains(&port)
    {
        return Err(OpenError::PortRange(port));
    }
    match choice {
        LocalPort::Fixed(port) => listen(address, port)
            .await
            .map_err(|source| taken(port, source)),
        LocalPort::Preferred(port) => match listen(address, port).await {
            Ok(listeners) => Ok(listeners),
            Err(_) => stable(pool, target, address).await,
        },
        LocalPort::Stable => stable(pool, target, address).await,
    }
}

async fn stable(
    pool: &[RangeInclusive<u16>],
    target: &Target,
    address: Ipv4Addr,
) -> Result<Listeners, OpenError> {
    let size =
        |range: &RangeInclusive<u16>| u64::from(range.end().saturating_sub(*range.start())) + 1;
    let all: u64 = pool.iter().map(size).sum();
    let first = place(target);
    for step in 0..u64::from(TRIES).min(all) {
        let mut offset = (first.wrapping_add(step)) % all;
        for range in pool {
            if let (true, Ok(within)) = (offset < size(range), u16::try_from(offset)) {
                if let Ok(listeners) = listen(address, range.start() + within).await {
                    return Ok(listeners);
                }
                break;
            }
            offset -= size(range);
        }
    }
    listen(address, 0)
        .await
        .map_err(|source| OpenError::Listen { port: 0, source })
}

/// What the port of a tunnel is drawn by; the same whenever it is opened.
fn place(target: &Target) -> u64 {
    let label = target.service.label();
    hash::of(&[&target.profile, &target.session_name, &label])
}

async fn listen(address: Ipv4Addr, port: u16) -> io::Result<Listeners> {
    let v4 = TcpListener::bind(SocketAddr::from((address, port))).await?;
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

/// Ranges as a person writes them: `20000-29999, 31000`.
///
/// # Errors
/// With the piece that makes no sense.
pub fn parse_pool(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    let mut pool = Vec::new();
    for piece in text
        .split([',', ' '])
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
        match (from.trim().parse(), to.trim().parse()) {
            (Ok(from), Ok(to))
                if from <= to && ASKABLE.contains(&from) && ASKABLE.contains(&to) =>
            {
                pool.push(from..=to);
            }
            _ => return Err(piece.to_owned()),
        }
    }
    Ok(pool)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_ranges_and_ports() {
        assert_eq!(
            parse_pool("20000-20010, 31000").unwrap(),
            [20000..=20010, 31000..=31000]
        );
        assert_eq!(parse_pool("").unwrap(), []);
        for bad in ["80", "2000-1999", "x", "1025-65535", "1-2-3"] {
            assert!(parse_pool(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn every_port_of_a_small_pool_is_found_and_then_any() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let target = Target {
            profile: "local".to_owned(),
            session: "0".to_owned(),
            session_name: "s".to_owned(),
            service: crate::Service::app("x"),
        };
        let pool = [port..=port];
        let one = bind(LocalPort::Stable, &pool, &target, Ipv4Addr::LOCALHOST)
            .await
            .unwrap();
        let other = bind(LocalPort::Stable, &pool, &target, Ipv4Addr::LOCALHOST)
            .await
            .unwrap();
        assert_ne!(one.port, other.port);
        let none = bind(LocalPort::Stable, &[], &target, Ipv4Addr::LOCALHOST).await;
        assert!(none.is_ok());
        for port in [80, 1024, 65535] {
            let refused = bind(LocalPort::Fixed(port), &pool, &target, Ipv4Addr::LOCALHOST).await;
            assert!(matches!(refused, Err(OpenError::PortRange(_))), "{port}");
        }
    }
}
