//! Where a request comes from, and whether its user may come from there (`allowed_client_ip`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::extract::connect_info::ConnectInfo;
use axum::http::request::Parts;

use crate::error::Problem;
use crate::state::App;
use crate::store::user::User;

/// An entry of `allowed_client_ip`: an address, a network (`10.0.0.0/8`), or an IPv4 address whose
/// last numbers are `*` (`192.168.*.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    base: IpAddr,
    /// Leading bits that count.
    bits: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - self.bits)).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(u32::from(128 - self.bits))
                    .unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotANetwork(String);

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is invalid IP address value", self.0)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let trimmed = text.trim();
        if trimmed.contains('*') {
            return wildcard(trimmed).ok_or_else(wrong);
        }
        let (address, bits) = match trimmed.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (trimmed, None),
        };
        let base: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|it| *it <= most),
            None => Some(most),
        };
        bits.map(|bits| Self { base, bits }).ok_or_else(wrong)
    }
}

fn wildcard(text: &str) -> Option<Network> {
    let parts: Vec<&str> = text.split('.').collect();
    let fixed = parts.iter().position(|part| *part == "*")?;
    if parts.len() != 4 || parts[fixed..].iter().any(|part| *part != "*") {
        return None;
    }
    let mut octets = [0; 4];
    for (octet, part) in octets.iter_mut().zip(&parts[..fixed]) {
        *octet = part.parse().ok()?;
    }
    Some(Network {
        base: Ipv4Addr::from(octets).into(),
        bits: u8::try_from(fixed * 8).ok()?,
    })
}

/// The address that a request comes from.
///
/// The engine listens on loopback only: a direct client is on this computer, and whoever else there
/// is came through a reverse proxy, which notes the address in `X-Forwarded-For`. A client may have
/// written that header too, before the proxy appended to it; so the last entry that is not of this
/// computer counts.
fn of_request(request: &Parts) -> Result<IpAddr, Problem> {
    let peer = request
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let mut noted = Vec::new();
    for value in request.headers.get_all("x-forwarded-for") {
        let text = value.to_str().unwrap_or("?");
        noted.extend(text.split(',').map(str::trim));
    }
    for text in noted.into_iter().rev().filter(|text| !text.is_empty()) {
        let address: IpAddr = text.parse().map_err(|_| {
            Problem::invalid_auth_params(format!("{text} is invalid IP address value"))
        })?;
        if !address.to_canonical().is_loopback() {
            return Ok(address.to_canonical());
        }
    }
    Ok(peer.to_canonical())
}

/// The address that the request comes from, for handlers.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        of_request(parts).map(Self)
    }
}

/// Whether a user may come from an address; no list, or an empty one, allows all. An entry that
/// can't be read allows nobody.
pub(crate) fn may_come_from(user: &User, address: IpAddr) -> bool {
    let list = user.allowed_client_ip.as_deref().unwrap_or_default();
    let holds = |entry: &String| entry.parse().is_ok_and(|it: Network| it.contains(address));
    list.is_empty() || list.iter().any(holds)
}

/// Refuses a request of a user who may not come from where it comes from.
pub(super) fn check(user: &User, request: &Parts) -> Result<(), Problem> {
    let list = user.allowed_client_ip.as_deref().unwrap_or_default();
    if list.is_empty() {
        return Ok(());
    }
    let address = of_request(request)?;
    if may_come_from(user, address) {
        return Ok(());
    }
    Err(Problem::auth_failed(format!(
        "'{address}' is not allowed IP address"
    )))
}

/// The address that programs of this computer come from.
pub(crate) fn own(app: &App) -> IpAddr {
    app.endpoint
        .strip_prefix("http://")
        .and_then(|it| it.parse::<SocketAddr>().ok())
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn networks_hold_their_addresses_only() {
        for (network, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.0.0/16", "10.1.255.1", "10.2.0.1"),
            ("10.1.2.3/8", "10.200.0.1", "11.0.0.1"),
            ("192.168.*.*", "192.168.7.9", "192.169.0.1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::1"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
        assert!(holds("0.0.0.0/0", "8.8.8.8") && holds("::/0", "::1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "ten",
            "10.0.0.0/33",
            "10.*.0.1",
            "*.*.*",
            "::/129",
            "1.2.3.4/",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn request(noted: &[u8]) -> Option<Parts> {
        let request = axum::http::Request::builder().header("x-forwarded-for", noted);
        Some(request.body(()).ok()?.into_parts().0)
    }

    proptest! {
        #[test]
        fn any_text_is_a_network_or_refused(text in "[0-9a-f:.*/ +]{0,24}", address in any::<IpAddr>()) {
            if let Ok(network) = text.parse::<Network>() {
                network.contains(address);
                prop_assert!(network.contains(network.base.to_canonical()) || network.base.is_ipv6());
            }
        }

        #[test]
        fn a_network_holds_exactly_what_begins_like_it(base in any::<u32>(), other in any::<u32>(), bits in 0u8..=32) {
            let network: Network = format!("{}/{bits}", Ipv4Addr::from(base)).parse().unwrap();
            let same = (0..bits).all(|at| (base ^ other) & (1 << (31 - at)) == 0);
            prop_assert_eq!(network.contains(Ipv4Addr::from(other).into()), same);
        }

        /// What a client writes in front of the proxy's own note changes nothing.
        #[test]
        fn only_the_last_note_counts(forged in "[ -~]{0,40}", real in any::<Ipv4Addr>()) {
            let real = IpAddr::from(real);
            if !real.is_loopback() {
                let parts = request(format!("{forged}, {real}").as_bytes()).unwrap();
                prop_assert_eq!(of_request(&parts).ok(), Some(real));
            }
        }

        #[test]
        fn any_header_is_an_address_or_refused(noted in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(parts) = request(&noted) {
                let _ = of_request(&parts);
            }
        }
    }
}
