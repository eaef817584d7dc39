//! The kernel's own word on sockets: `sock_diag` answers for one connection at once; the tables in
//! `/proc` have to be read whole, which takes milliseconds where many connections come and go.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// A socket in the kernel's tables.
struct Row {
    uid: u32,
    /// 0 once no process has it open any more; its account is unknown then.
    inode: u64,
}

enum Found {
    Row(Row),
    /// There is no such socket.
    Nothing,
    /// The system does not tell.
    Unknown,
}

/// Whether the process at `peer` of a connection to `local` runs under this process's account or
/// root's. A process that has closed its end before it was looked at is refused: nobody can tell
/// whose it was. `true` where the system does not tell.
pub(crate) fn is_allowed(peer: SocketAddr, local: SocketAddr) -> bool {
    let found = match by_netlink(peer, local) {
        Ok(found) => found,
        Err(_) => by_table(peer, Some(local)),
    };
    match found {
        Found::Row(row) => {
            row.inode != 0 && (row.uid == 0 || row.uid == nix::unistd::geteuid().as_raw())
        }
        Found::Nothing => false,
        Found::Unknown => true,
    }
}

/// The name of the program that listens on `port`, as far as this account may see it.
pub(crate) fn holder(port: u16) -> Option<String> {
    let row = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0])]
        .into_iter()
        .find_map(
            |address| match by_table(SocketAddr::new(address, port), None) {
                Found::Row(row) => Some(row),
                Found::Nothing | Found::Unknown => None,
            },
        )?;
    let wanted = format!("socket:[{}]", row.inode);
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        // `self` and `thread-self` stand there too.
        if process
            .file_name()
            .to_str()
            .is_none_or(|name| name.parse::<u32>().is_err())
        {
            continue;
        }
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = open.flatten().any(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == &*wanted)
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
            let pid = process.file_name().to_string_lossy().into_owned();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// sock_diag(7): request and answer are fixed structures in host byte order, addresses and ports
/// in network byte order.
fn by_netlink(local: SocketAddr, remote: SocketAddr) -> nix::Result<Found> {
    const BY_FAMILY: u16 = 20;
    const REQUEST: u16 = 1;
    const ERROR: u16 = 2;
    const TCP: u8 = 6;
    /// Offsets in the answer: after the header (16), family to retransmits (4), the socket's
    /// identity (48), expiry and the two queues (12).
    const UID: usize = 80;
    const INODE: usize = 84;

    let family = if local.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let mut request = Vec::with_capacity(72);
    request.extend_from_slice(&72u32.to_ne_bytes());
    request.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&REQUEST.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    let family_byte = u8::try_from(family as i32).unwrap_or(0);
    request.extend_from_slice(&[family_byte, TCP, 0, 0]);
    // Every state.
    request.extend_from_slice(&u32::MAX.to_ne_bytes());
    request.extend_from_slice(&local.port().to_be_bytes());
    request.extend_from_slice(&remote.port().to_be_bytes());
    request.extend_from_slice(&octets(local.ip()));
    request.extend_from_slice(&octets(remote.ip()));
    // Any interface, any cookie.
    request.extend_from_slice(&0u32.to_ne_bytes());
    request.extend_from_slice(&u64::MAX.to_ne_bytes());

    let channel = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    send(channel.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut answer = [0; 512];
    // The kernel answers before `send` returns.
    let length = recv(channel.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    let answer = &answer[..length];
    let number = |at: usize| {
        let bytes = answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or(Errno::EBADMSG)
    };
    let kind = answer
        .get(4..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_ne_bytes);
    match kind {
        Some(BY_FAMILY) => Ok(Found::Row(Row {
            uid: number(UID)?,
            inode: u64::from(number(INODE)?),
        })),
        Some(ERROR) => {
            let code = number(16)?;
            match Errno::from_raw(i32::from_ne_bytes(code.to_ne_bytes()).wrapping_neg()) {
                // The connection is not there; without the kernel's module for it, the answer is
                // the same, so the table has the last word.
                Errno::ENOENT => Ok(by_table(local, Some(remote))),
                error => Err(error),
            }
        }
        _ => Err(Errno::EBADMSG),
    }
}

/// An address in 16 bytes.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The socket bound to `local` (and connected to `remote`) in the kernel's table; see
/// proc_pid_net(5).
fn by_table(local: SocketAddr, remote: Option<SocketAddr>) -> Found {
    let table = if local.is_ipv4() {
        "/proc/self/net/tcp"
    } else {
        "/proc/self/net/tcp6"
    };
    let Ok(text) = std::fs::read_to_string(table) else {
        return Found::Unknown;
    };
    let wanted = hex(local);
    let wanted_remote = remote.map(hex);
    let row = text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (at, to) = (fields.nth(1)?, fields.next()?);
        if at != wanted || wanted_remote.as_ref().is_some_and(|remote| remote != to) {
            return None;
        }
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Row { uid, inode })
    });
    row.map_or(Found::Nothing, Found::Row)
}

/// An address as the kernel prints it: each 32-bit word of the address in host byte order.
fn hex(address: SocketAddr) -> String {
    let mut text = String::with_capacity(40);
    let length = if address.is_ipv4() { 4 } else { 16 };
    for word in octets(address.ip())[..length].chunks_exact(4) {
        let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        text.push_str(&format!("{word:08X}"));
    }
    text.push_str(&format!(":{:04X}", address.port()));
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn both_ways_of_asking_find_the_owner_of_a_connection() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else {
                continue;
            };
            let here = listener.local_addr().unwrap();
            let client = std::net::TcpStream::connect(here).unwrap();
            let peer = client.local_addr().unwrap();
            let me = std::fs::metadata("/proc/self").unwrap().uid();
            let Ok(Found::Row(quick)) = by_netlink(peer, here) else {
                panic!("sock_diag")
            };
            let Found::Row(slow) = by_table(peer, Some(here)) else {
                panic!("/proc")
            };
            assert_eq!((quick.uid, slow.uid), (me, me));
            assert_eq!(quick.inode, slow.inode);
            assert!(is_allowed(peer, here));
            drop(client);
            assert!(!is_allowed(peer, here), "nobody has it any more");
        }
    }

    #[test]
    fn the_program_on_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = holder(listener.local_addr().unwrap().port()).expect("this process");
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    }
}
