//! Tunnels that others on the network may use, because the user said so in words.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who else than this computer may connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// The networks that may; with none, everybody who can reach this computer may.
    pub allow: Vec<Network>,
}

impl Public {
    /// Whether a computer may connect.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.holds(peer))
    }
}

/// An address, or all that begin like it: `192.168.1.7`, `192.168.1.0/24`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// What is written there is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no network address; write 192.168.1.7 or 192.168.1.0/24")]
pub struct BadNetwork(String);

impl Network {
    fn holds(self, peer: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, true),
            IpAddr::V6(ip) => (u128::from(ip), false),
        };
        let ((ours, four), (theirs, also)) = (bits(self.address), bits(peer));
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.prefix))
            .unwrap_or(0);
        four == also && ours & mask == theirs & mask
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => digits.parse().map_err(|_| bad())?,
            None => most,
        };
        if prefix > most {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_networks_are_let_in() {
        let public = |allow: &[&str]| Public {
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let home = public(&["192.168.1.0/24", "10.0.0.7", "fd00::/8"]);
        for (peer, allowed) in [
            ("192.168.1.200", true),
            ("192.168.2.1", false),
            ("10.0.0.7", true),
            ("10.0.0.8", false),
            ("::ffff:10.0.0.7", true),
            ("fd12::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(home.allows(peer.parse().unwrap()), allowed, "{peer}");
        }
        assert!(public(&[]).allows("203.0.113.9".parse().unwrap()));
        assert!(public(&["0.0.0.0/0"]).allows("203.0.113.9".parse().unwrap()));
        assert!(!public(&["0.0.0.0/0"]).allows("::1".parse().unwrap()));
        for bad in ["", "192.168.1.0/33", "localhost", "1.2.3.4/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_network_or_refused(text in "[0-9a-f:./ +]{0,24}", peer in any::<IpAddr>()) {
            if let Ok(network) = text.parse::<Network>() {
                network.holds(peer);
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }

        #[test]
        fn a_network_holds_exactly_what_begins_like_it(base in any::<u128>(), other in any::<u128>(), bits in 0u8..=128) {
            let v6 = |bits: u128| std::net::Ipv6Addr::from_bits(bits | 1 << 127);
            let network: Network = format!("{}/{bits}", v6(base)).parse().unwrap();
            let same = (1..bits).all(|at| (base ^ other) & (1 << (127 - at)) == 0);
            prop_assert_eq!(network.holds(v6(other).into()), same);
        }
    }
}
