//! The kernels of one session, and the small network that they share.

use std::{fs, net::Ipv4Addr};

use protocol::runner::launch::PlannedCluster;
use serde::{Deserialize, Serialize};

use crate::{KernelId, RuntimeError};

/// Most kernels of one session: their addresses share 24 bits.
const MOST: usize = 200;
/// Last part of the main kernel's address; others follow.
const FIRST_HOST: u8 = 10;
/// Second part of the networks that are used: 10.77.0.0/24 and up.
const NETWORK: [u8; 2] = [10, 77];

/// A kernel's place among the kernels of its session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The main kernel, which is started first.
    pub main: KernelId,
    /// Of this kernel, from 0; 0 is the main one.
    pub rank: u32,
    /// Host names by rank.
    pub hosts: Vec<String>,
    /// Makes the key with which the kernels log in at each other; the same for all of them.
    pub key: [u8; 32],
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("main", &self.main)
            .field("rank", &self.rank)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// What the runner has to know.
    pub(crate) fn planned(&self, subnet: Subnet) -> PlannedCluster {
        PlannedCluster {
            address: subnet.address(self.rank),
            hosts: self.hosts.clone(),
            key: self.key,
        }
    }

    /// Lines for `/etc/hosts`.
    pub(crate) fn host_lines(&self, subnet: Subnet) -> String {
        (0..)
            .zip(&self.hosts)
            .map(|(rank, name)| format!("{} {name}\n", subnet.address(rank)))
            .collect()
    }

    pub(crate) fn check(&self) -> Result<(), RuntimeError> {
        let rank = usize::try_from(self.rank).unwrap_or(usize::MAX);
        if self.hosts.len() > MOST || rank >= self.hosts.len() {
            return Err(RuntimeError::Invalid(format!(
                "a session on one computer can have {MOST} kernels at most"
            )));
        }
        Ok(())
    }
}

/// A network of 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet(u8);

impl Subnet {
    /// Networks that this computer has no route into, beginning anywhere: sessions of containers
    /// share the host's routes, and two of them must not choose the same.
    pub(crate) fn free(start: u8) -> impl Iterator<Item = Self> {
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        (0..=u8::MAX)
            .map(move |step| Self(start.wrapping_add(step)))
            .filter(move |subnet| !subnet.is_routed(&routes))
    }

    pub(crate) fn address(self, rank: u32) -> Ipv4Addr {
        let host = FIRST_HOST.saturating_add(u8::try_from(rank).unwrap_or(u8::MAX));
        Ipv4Addr::new(NETWORK[0], NETWORK[1], self.0, host)
    }

    /// `10.77.0.0/24`
    pub(crate) fn text(self) -> String {
        format!("{}.{}.{}.0/24", NETWORK[0], NETWORK[1], self.0)
    }

    /// Whether a route of `/proc/net/route`, the default one aside, meets it.
    fn is_routed(self, routes: &str) -> bool {
        let base = u32::from(Ipv4Addr::new(NETWORK[0], NETWORK[1], self.0, 0));
        routes.lines().skip(1).any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| {
                let text = words.get(at)?;
                // The kernel prints what lies in memory, in the order of the network.
                Some(u32::from_str_radix(text, 16).ok()?.swap_bytes())
            };
            let (Some(to), Some(mask)) = (number(1), number(7)) else {
                return false;
            };
            // The shorter of the two masks decides.
            let both = mask & 0xffff_ff00;
            mask != 0 && to & both == base & both
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_host_are_kept_out_of() {
        let header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
        let routes = |line: &str| format!("{header}{line}\n");
        // 0.0.0.0/0, 10.77.5.0/24, 10.0.0.0/8, 10.77.5.128/25
        let default = routes("eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000");
        let same = routes("br0\t00054D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF");
        let wide = routes("br0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF");
        let half = routes("br0\t80054D0A\t00000000\t0001\t0\t0\t0\t80FFFFFF");
        assert!(!Subnet(5).is_routed(&default));
        assert!(Subnet(5).is_routed(&same) && !Subnet(6).is_routed(&same));
        assert!(Subnet(5).is_routed(&wide) && Subnet(6).is_routed(&wide));
        assert!(Subnet(5).is_routed(&half) && !Subnet(6).is_routed(&half));
    }

    #[test]
    fn every_rank_has_a_name_and_an_address() {
        let cluster = Cluster {
            main: KernelId::nil(),
            rank: 1,
            hosts: vec!["main1".to_owned(), "sub1".to_owned()],
            key: [0; 32],
        };
        let subnet = Subnet(3);
        assert_eq!(
            cluster.host_lines(subnet),
            "10.77.3.10 main1\n10.77.3.11 sub1\n"
        );
        assert_eq!(subnet.text(), "10.77.3.0/24");
        assert!(cluster.check().is_ok());
    }
}
