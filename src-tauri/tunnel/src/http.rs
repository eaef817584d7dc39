//! Follows the requests of one HTTP/1.1 connection without changing them, and refuses those that
//! a foreign web page causes.
//!
//! Any page in any browser can address a loopback port. Two checks keep it out: the name in
//! `Host` must be one that can only mean this computer (a foreign name pointed at 127.0.0.1, DNS
//! rebinding, is refused), and an `Origin` must be the app's own. Every request of a connection
//! is checked, because browsers reuse connections.

use bytes::BytesMut;

use crate::guard::Guard;

/// The longest request head. Jupyter with many cookies stays below 32 KiB.
const HEAD_LIMIT: usize = 64 * 1024;
const HEADER_LIMIT: usize = 128;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Host,
    Origin,
    Malformed,
    /// It does not know the secret. The path may have a ticket.
    Stranger {
        path: String,
    },
}

/// What may be done with the bytes at the front of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scan {
    /// So many bytes (not 0) can go on.
    Forward(usize),
    /// In place of so many bytes, these go on.
    Replace(usize, Vec<u8>),
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
    public: bool,
    guard: Option<Guard>,
    place: Place,
}

impl Requests {
    /// For a connection to the local port `port`, which is this computer's alone unless `public`.
    pub(crate) fn new(port: u16, public: bool, guard: Option<Guard>) -> Self {
        Self {
            port,
            public,
            guard,
            place: Place::Head,
        }
    }

    /// Looks at what was read and not forwarded yet.
    pub(crate) fn scan(&mut self, data: &BytesMut) -> Scan {
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            if let (Place::Head, Some(guard)) = (self.place, self.guard.clone()) {
                if done > 0 {
                    break;
                }
                return match self.guarded(rest, &guard) {
                    Ok(Some((used, bytes))) => Scan::Replace(used, bytes),
                    Ok(None) => Scan::More,
                    Err(refusal) => Scan::Refuse(refusal),
                };
            }
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
                    .and_then(|digits| number(digits.trim_matches([' ', '\t']), 16))
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
        head.check(self.port, self.public)?;
        self.place = head.next();
        Ok(Some(length))
    }

    /// A head that has to show the secret: its length, and what goes on in its place, which is the
    /// same without the secret.
    fn guarded(&mut self, data: &[u8], guard: &Guard) -> Result<Option<(usize, Vec<u8>)>, Refusal> {
        let Some(length) = self.head(data)? else {
            return Ok(None);
        };
        let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
        let mut request = httparse::Request::new(&mut headers);
        if !matches!(request.parse(data), Ok(httparse::Status::Complete(_))) {
            return Err(Refusal::Malformed);
        }
        let path = request.path.unwrap_or_default();
        let mut known = false;
        let method = request.method.unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        if request.version == Some(0) {
            head = format!("{method} {path} HTTP/1.0\r\n").into_bytes();
        }
        for header in request.headers.iter() {
            let stripped;
            let mut value = header.value;
            if header.name.eq_ignore_ascii_case("cookie") {
                let text = std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?;
                known |= guard.knows(text);
                let Some(rest) = Guard::strip(text) else {
                    continue;
                };
                stripped = rest;
                value = stripped.as_bytes();
            }
            head.extend_from_slice(header.name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        match known {
            true => Ok(Some((length, head))),
            false => Err(Refusal::Stranger {
                path: path.to_owned(),
            }),
        }
    }
}

/// A number of digits alone: a sign, which the standard library takes, means something else to
/// other programs, and two programs that disagree about a length are how a request is hidden.
fn number(digits: &str, radix: u32) -> Option<u64> {
    let plain = digits.chars().all(|one| one.is_digit(radix));
    u64::from_str_radix(digits, radix).ok().filter(|_| plain)
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
                let last = value()?.rsplit(',').next().unwrap_or_default().trim();
                if head.chunked || !last.eq_ignore_ascii_case("chunked") {
                    return Err(Refusal::Malformed);
                }
                head.chunked = true;
            } else if is("content-length") {
                let length = number(value()?, 10).ok_or(Refusal::Malformed)?;
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

    fn check(&self, port: u16, public: bool) -> Result<(), Refusal> {
        // An address literal can't be somebody else's name that was pointed here.
        let is_ours = |authority: &str| {
            is_loopback(authority, port) || (public && is_literal(authority, port))
        };
        match self.host {
            Some(host) if is_ours(host) => {}
            _ => return Err(Refusal::Host),
        }
        let own = |origin: &str| origin.strip_prefix("http://").is_some_and(is_ours);
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

/// Whether `authority` is an IP address and this port.
fn is_literal(authority: &str, port: u16) -> bool {
    authority
        .parse::<std::net::SocketAddr>()
        .is_ok_and(|address| address.port() == port)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
