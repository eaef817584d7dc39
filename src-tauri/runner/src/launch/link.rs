//! Network devices of a session, made in the kernel's own words (rtnetlink).
//!
//! The kernels of one session share a user namespace, and each has a network namespace in it. The
//! main kernel's holds a bridge; every other one is joined to it by a pair of virtual cables.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};
use protocol::runner::launch::ClusterLink;

use super::{Doing, LaunchError};

/// Name of the device that leads to the other kernels.
const DEVICE: &str = "cluster";

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const REQUEST: u16 = 1;
/// Wants to be told whether it worked.
const CHANGE: u16 = REQUEST | 4;
/// Make it, and fail when it is there.
const CREATE: u16 = CHANGE | 0x200 | 0x400;
const UP: u32 = 1;

const NAME: u16 = 3;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const NAMESPACE: u16 = 28;
const LOCAL_ADDRESS: u16 = 2;

/// The namespaces of the main kernel, joined to or about to be.
pub(super) struct Main {
    network: File,
}

impl Main {
    /// Enters the user namespace of the main kernel, which is `pid`, and makes a network namespace
    /// of our own in it; one for mounts too, where they are needed.
    pub(super) fn join(pid: u32, mounts: bool) -> Result<Self, LaunchError> {
        let open = |name: &str| {
            File::open(format!("/proc/{pid}/ns/{name}")).doing("find the main kernel's namespaces")
        };
        let (user, network) = (open("user")?, open("net")?);
        setns(&user, CloneFlags::CLONE_NEWUSER).doing("join the main kernel's user namespace")?;
        let mut flags = CloneFlags::CLONE_NEWNET;
        if mounts {
            flags |= CloneFlags::CLONE_NEWNS;
        }
        unshare(flags).doing("make a network namespace")?;
        Ok(Self { network })
    }
}

/// A new network namespace has its loopback interface down.
pub(super) fn loopback_up() -> Result<(), LaunchError> {
    // It is always the first.
    Netlink::open()
        .and_then(|netlink| netlink.set_up(1))
        .doing("bring loopback up")
}

/// Makes the kernel's end of the network between the kernels.
pub(super) fn attach(link: &ClusterLink, main: Option<&Main>) -> Result<(), LaunchError> {
    let attempt = || match main {
        None => {
            let here = Netlink::open()?;
            here.make(DEVICE, &kind("bridge", &[]))?;
            here.set_address(DEVICE, link.address)
        }
        Some(main) => {
            let here = Netlink::open()?;
            // Kept out of the statistics by its name: what it carries is seen on the bridge.
            let port = format!("{DEVICE}.{}", link.rank);
            let mut peer = header(0, 0);
            text(&mut peer, NAME, &port);
            number(
                &mut peer,
                NAMESPACE,
                main.network.as_raw_fd().cast_unsigned(),
            );
            let mut data = Vec::new();
            attribute(&mut data, VETH_PEER, &peer);
            here.make(DEVICE, &kind("veth", &data))?;
            here.set_address(DEVICE, link.address)?;

            let own = File::open("/proc/self/ns/net")?;
            setns(&main.network, CloneFlags::CLONE_NEWNET)?;
            let plugged = Netlink::open().and_then(|there| {
                let bridge = there.index(DEVICE)?;
                there.plug_in(there.index(&port)?, bridge)
            });
            setns(own, CloneFlags::CLONE_NEWNET)?;
            plugged
        }
    };
    attempt().doing("join the kernels of the session")
}

/// One conversation with one network namespace.
struct Netlink(OwnedFd);

impl Netlink {
    fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self(socket))
    }

    fn set_up(&self, index: i32) -> io::Result<()> {
        self.ask(NEW_LINK, CHANGE, &header(index, UP)).map(drop)
    }

    fn make(&self, name: &str, info: &[u8]) -> io::Result<()> {
        let mut body = header(0, UP);
        text(&mut body, NAME, name);
        body.extend_from_slice(info);
        self.ask(NEW_LINK, CREATE, &body).map(drop)
    }

    fn plug_in(&self, index: i32, bridge: i32) -> io::Result<()> {
        let mut body = header(index, UP);
        number(&mut body, MASTER, bridge.cast_unsigned());
        self.ask(NEW_LINK, CHANGE, &body).map(drop)
    }

    fn index(&self, name: &str) -> io::Result<i32> {
        let mut body = header(0, 0);
        text(&mut body, NAME, name);
        let answer = self.ask(GET_LINK, REQUEST, &body)?;
        let bytes = answer.get(20..24).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(i32::from_ne_bytes)
            .ok_or_else(|| io::Error::other("the network answers nonsense"))
    }

    fn set_address(&self, name: &str, address: Ipv4Addr) -> io::Result<()> {
        let index = self.index(name)?;
        // Family, prefix length, flags, scope, device.
        let mut body = vec![nix::libc::AF_INET.to_ne_bytes()[0], 24, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        attribute(&mut body, LOCAL_ADDRESS, &address.octets());
        self.ask(NEW_ADDRESS, CREATE, &body).map(drop)
    }

    /// Sends a request; gives its answer, or the error that it names.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(body);
        let socket = self.0.as_fd().as_raw_fd();
        send(socket, &message, MsgFlags::empty())?;
        let mut answer = vec![0; 32 << 10];
        let length = recv(socket, &mut answer, MsgFlags::empty())?;
        answer.truncate(length);
        let word = |at: usize| {
            let bytes = answer
                .get(at..at + 4)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, i32::from_ne_bytes)
        };
        let is_error = answer.get(4..6) == Some(&2_u16.to_ne_bytes()[..]);
        match word(16) {
            code if is_error && code < 0 => Err(io::Error::from_raw_os_error(-code)),
            _ => Ok(answer),
        }
    }
}

/// `struct ifinfomsg`
fn header(index: i32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&flags.to_ne_bytes());
    // Which of the flags are meant.
    body.extend_from_slice(&flags.to_ne_bytes());
    body
}

fn kind(name: &str, data: &[u8]) -> Vec<u8> {
    let mut info = Vec::new();
    attribute(&mut info, INFO_KIND, name.as_bytes());
    if !data.is_empty() {
        attribute(&mut info, INFO_DATA, data);
    }
    let mut body = Vec::new();
    attribute(&mut body, LINK_INFO, &info);
    body
}

fn text(body: &mut Vec<u8>, kind: u16, value: &str) {
    attribute(body, kind, &[value.as_bytes(), &[0]].concat());
}

fn number(body: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(body, kind, &value.to_ne_bytes());
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // All of ours are short: names, numbers, and each other.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
