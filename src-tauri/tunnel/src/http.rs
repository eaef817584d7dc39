//! Follows the requests of one HTTP/1.1 connection without changing them, and refuses those that
//! a foreign web page causes.
//!
//! Any page in any browser can address a loopback port. Two checks keep it out: the name in
//! `Host` must be one that can only mean this computer (a foreign name pointed at 127.0.0.1, DNS
//! rebinding, is refused), and an `Origin` must be the app's own. Every request of a connection
//! is checked, because browsers reuse connections.

use bytes::BytesMut;

/// The longest request head. Jupyter with many cookies stays below 32 KiB.
const HEAD_LIMIT: usize = 64 * 1024;
const HEADER_LIMIT: usize = 128;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Host,
    Origin,
    Malformed,
}

/// What may be done with the bytes at the front of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// So many bytes (not 0) can go on.
    Forward(usize),
    /// A head is incomplete: read more first.
    More,
    /// Everything from here on is of no more interest (an upgraded connection).
    Opaque,
    Refuse(Refusal),
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Head,
    Body { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    Trailer,
    Opaque,
}

/// Where in the sequence of requests a connection is.
pub(crate) struct Requests {
    port: u16,
    place: Place,
}

impl Requests {
    /// For a connection to the local port `port`.
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            place: Place::Head,
        }
    }

    /// Looks at what was read and not forwarded yet.
    pub(crate) fn scan(&mut self, data: &BytesMut) -> Scan {
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            match self.step(rest) {
                Ok(Some(0)) => {
                    return if done > 0 {
                        Scan::Forward(done)
                    } else {
                        Scan::Opaque
                    };
                }
                Ok(Some(used)) => done += used,
                Ok(None) => break,
                // What came before it is sound, and goes first.
                Err(_) if done > 0 => break,
                Err(refusal) => return Scan::Refuse(refusal),
            }
        }
        if done > 0 {
            Scan::Forward(done)
        } else {
            Scan::More
        }
    }

    /// Takes one piece: its length, `None` when more must be read, 0 when nothing is looked at
    /// any more.
    fn step(&mut self, data: &[u8]) -> Result<Option<usize>, Refusal> {
        match self.place {
            Place::Opaque => Ok(Some(0)),
            Place::Head => self.head(data),
            Place::Body { left } => Ok(Some(self.skip(data, left, false))),
            Place::ChunkData { left } => Ok(Some(self.skip(data, left, true))),
            Place::ChunkSize => {
                let Some(line) = line(data)? else {
                    return Ok(None);
                };
                let digits = data[..line]
                    .split(|byte| *byte == b';' || *byte == b'\r')
                    .next();
                let size = digits
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
                    .ok_or(Refusal::Malformed)?;
                self.place = match size {
                    0 => Place::Trailer,
                    // The line end after the data counts as data.
                    size => Place::ChunkData {
                        left: size.checked_add(2).ok_or(Refusal::Malformed)?,
                    },
                };
                Ok(Some(line))
            }
            Place::Trailer => {
                let Some(line) = line(data)? else {
                    return Ok(None);
                };
                if line <= 2 {
                    self.place = Place::Head;
                }
                Ok(Some(line))
            }
        }
    }

    fn skip(&mut self, data: &[u8], left: u64, chunked: bool) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let left = left - used as u64;
        self.place = match (left, chunked) {
            (0, false) => Place::Head,
            (0, true) => Place::ChunkSize,
            (left, false) => Place::Body { left },
            (left, true) => Place::ChunkData { left },
        };
        used
    }

    fn head(&mut self, data: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(data) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if data.len() < HEAD_LIMIT => return Ok(None),
            _ => return Err(Refusal::Malformed),
        };
        let head = Head::read(&request)?;
        head.check(self.port)?;
        self.place = head.next();
        Ok(Some(length))
    }
}

fn line(data: &[u8]) -> Result<Option<usize>, Refusal> {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => Ok(Some(at + 1)),
        None if data.len() > HEAD_LIMIT => Err(Refusal::Malformed),
        None => Ok(None),
    }
}

/// The few headers that matter here.
#[derive(Default)]
struct Head<'a> {
    host: Option<&'a str>,
    origin: Option<&'a str>,
    safe_method: bool,
    navigates: bool,
    cross_site: bool,
    upgrade: bool,
    chunked: bool,
    length: Option<u64>,
}

impl<'a> Head<'a> {
    fn read(request: &httparse::Request<'_, 'a>) -> Result<Self, Refusal> {
        let mut head = Head {
            safe_method: matches!(request.method, Some("GET" | "HEAD" | "OPTIONS")),
            ..Head::default()
        };
        if request.method == Some("CONNECT") {
            return Err(Refusal::Malformed);
        }
        for header in request.headers.iter() {
            let text = std::str::from_utf8(header.value).map(str::trim);
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let value = || text.map_err(|_| Refusal::Malformed);
            if is("host") {
                if head.host.replace(value()?).is_some() {
                    return Err(Refusal::Malformed);
                }
            } else if is("origin") {
                if head.origin.replace(value()?).is_some() {
                    return Err(Refusal::Malformed);
                }
            } else if is("sec-fetch-site") {
                head.cross_site = value()?.eq_ignore_ascii_case("cross-site");
            } else if is("sec-fetch-mode") {
                head.navigates = value()?.eq_ignore_ascii_case("navigate");
            } else if is("upgrade") {
                head.upgrade = true;
            } else if is("transfer-encoding") {
                // Another final coding has no length that both ends must agree on.
                if !value()?.to_ascii_lowercase().ends_with("chunked") {
                    return Err(Refusal::Malformed);
                }
                head.chunked = true;
            } else if is("content-length") {
                let length = value()?.parse().map_err(|_| Refusal::Malformed)?;
                if head
                    .length
                    .replace(length)
                    .is_some_and(|other| other != length)
                {
                    return Err(Refusal::Malformed);
                }
            }
        }
        // Two lengths are how a request is hidden from a proxy (RFC 9112 §6.1).
        if head.chunked && head.length.is_some() {
            return Err(Refusal::Malformed);
        }
        Ok(head)
    }

    fn check(&self, port: u16) -> Result<(), Refusal> {
        match self.host {
            Some(host) if is_loopback(host, port) => {}
            _ => return Err(Refusal::Host),
        }
        let own = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|authority| is_loopback(authority, port))
        };
        match self.origin {
            // A page in a sandboxed frame has the origin `null`: it may load what anyone may, and
            // neither change anything nor open a WebSocket.
            Some("null") if self.safe_method && !self.upgrade => {}
            Some(origin) if own(origin) => {}
            Some(_) => return Err(Refusal::Origin),
            None => {}
        }
        // Scripts and images are fetched across sites without an `Origin`; following a link to
        // the app is fine.
        if self.cross_site && !(self.navigates && self.safe_method && !self.upgrade) {
            let is_own_frame = self.origin == Some("null");
            if !is_own_frame {
                return Err(Refusal::Origin);
            }
        }
        Ok(())
    }

    fn next(&self) -> Place {
        match (self.upgrade, self.chunked, self.length) {
            (true, ..) => Place::Opaque,
            (false, true, _) => Place::ChunkSize,
            (false, false, Some(left)) if left > 0 => Place::Body { left },
            _ => Place::Head,
        }
    }
}

/// Whether `authority` can only mean this port of this computer: `localhost`, a name under it
/// (RFC 6761 §6.3), or a loopback address literal.
fn is_loopback(authority: &str, port: u16) -> bool {
    let (name, given) = match authority.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') => (name, digits.parse().ok()),
        _ => (authority, Some(80)),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    given == Some(port)
        && (name == "localhost"
            || name.ends_with(".localhost")
            || name == "127.0.0.1"
            || name == "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Scan {
        Requests::new(8888).scan(&BytesMut::from(text))
    }

    fn get(headers: &str) -> Scan {
        first(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
    }

    #[test]
    fn only_names_of_this_computer_with_the_right_port_are_served() {
        for host in [
            "localhost:8888",
            "127.0.0.1:8888",
            "[::1]:8888",
            "jupyter.a.LOCALHOST:8888",
        ] {
            assert!(
                matches!(get(&format!("Host: {host}\r\n")), Scan::Forward(_)),
                "{host}"
            );
        }
        for host in [
            "evil.example:8888",
            "localhost:8889",
            "localhost",
            "127.0.0.1.nip.example:8888",
            "localhost.evil.example:8888",
            "notlocalhost:8888",
            "",
        ] {
            assert_eq!(
                get(&format!("Host: {host}\r\n")),
                Scan::Refuse(Refusal::Host),
                "{host}"
            );
        }
        assert_eq!(get(""), Scan::Refuse(Refusal::Host), "no Host at all");
        let two = "Host: localhost:8888\r\nHost: evil.example:8888\r\n";
        assert_eq!(get(two), Scan::Refuse(Refusal::Malformed));
    }

    #[test]
    fn a_foreign_page_can_not_open_a_websocket_or_post() {
        let upgrade = "Host: localhost:8888\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        let own = format!("{upgrade}Origin: http://localhost:8888\r\n");
        assert!(matches!(get(&own), Scan::Forward(_)));
        for origin in [
            "http://evil.example",
            "http://localhost:9999",
            "null",
            "https://localhost:8888",
        ] {
            let headers = format!("{upgrade}Origin: {origin}\r\n");
            assert_eq!(get(&headers), Scan::Refuse(Refusal::Origin), "{origin}");
        }
        let post = "POST /api HTTP/1.1\r\nHost: localhost:8888\r\nOrigin: null\r\n\r\n";
        assert_eq!(first(post), Scan::Refuse(Refusal::Origin));
    }

    #[test]
    fn a_link_from_a_foreign_page_works_and_a_script_tag_does_not() {
        let link =
            "Host: localhost:8888\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
        assert!(matches!(get(link), Scan::Forward(_)));
        let script =
            "Host: localhost:8888\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
        assert_eq!(get(script), Scan::Refuse(Refusal::Origin));
    }

    #[test]
    fn the_second_request_of_a_connection_is_checked_too() {
        for body in [
            "Content-Length: 5\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
        ] {
            let good = format!("POST / HTTP/1.1\r\nHost: localhost:8888\r\n{body}");
            let bad = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
            let mut whole = BytesMut::from(format!("{good}{bad}").as_str());
            let mut requests = Requests::new(8888);
            assert_eq!(requests.scan(&whole), Scan::Forward(good.len()));
            let _ = whole.split_to(good.len());
            assert_eq!(requests.scan(&whole), Scan::Refuse(Refusal::Host));
        }
    }

    #[test]
    fn the_same_follows_from_bytes_that_come_one_by_one() {
        let text = "POST / HTTP/1.1\r\nHost: localhost:8888\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nhel\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost:8888\r\n\r\n";
        let mut requests = Requests::new(8888);
        let (mut held, mut forwarded) = (BytesMut::new(), 0);
        for byte in text.bytes() {
            held.extend_from_slice(&[byte]);
            match requests.scan(&held) {
                Scan::Forward(length) => {
                    forwarded += length;
                    let _ = held.split_to(length);
                }
                Scan::More => {}
                other => panic!("{other:?} after {forwarded}"),
            }
        }
        assert_eq!(forwarded, text.len());
    }

    #[test]
    fn two_lengths_and_other_protocols_are_refused() {
        let both = "Host: localhost:8888\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(get(both), Scan::Refuse(Refusal::Malformed));
        assert_eq!(
            first("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            Scan::Refuse(Refusal::Malformed)
        );
        assert_eq!(
            first("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"),
            Scan::Refuse(Refusal::Malformed)
        );
    }
}
