//! The networks of organisations: a proxy that wants a name and a password stands before every
//! manager, and certificates are their own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// A name that only the proxy can look up.
pub const MANAGER: &str = "manager.corp.test";
/// Who may use the proxy.
pub const NAME: &str = "worker";
/// With this password; a character in it has to be spelled otherwise in addresses.
pub const PASSWORD: &str = "pr0xy p@ss";
/// The same as it stands in an address.
pub const PASSWORD_IN_ADDRESS: &str = "pr0xy%20p%40ss";

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP: `CONNECT` for bytes (RFC 9110 §9.3.6); requests of plain HTTP are read and passed on
    /// without what they say of an upgrade.
    Http,
    /// SOCKS 5 with name and password (RFC 1928, RFC 1929).
    Socks,
}

/// A proxy of an organisation; it leads to the computers behind their names.
#[derive(Debug)]
pub struct CorporateProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

struct Rules {
    kind: Kind,
    guarded: bool,
    /// Where [`MANAGER`] is, whatever its port.
    manager: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl CorporateProxy {
    /// Listens on a free port of this computer; `guarded`: only for whoever knows the password.
    ///
    /// # Errors
    /// When nothing can be listened on.
    pub fn start(kind: Kind, guarded: bool, manager: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let rules = Arc::new(Rules {
            kind,
            guarded,
            manager,
            seen: Arc::clone(&seen),
        });
        thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                let rules = Arc::clone(&rules);
                thread::spawn(move || {
                    let _ = client.set_nodelay(true);
                    match rules.kind {
                        Kind::Http => http(client, &rules),
                        Kind::Socks => socks(client, &rules),
                    }
                });
            }
        });
        Ok(Self { address, seen })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it was asked for so far: `CONNECT host:port`, `GET http://…`, `refused`.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Rules {
    fn note(&self, what: String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(what);
    }

    /// Connects to a host by its name; it knows only this one.
    fn reach(&self, host: &str) -> io::Result<TcpStream> {
        let known = host == MANAGER || host.parse() == Ok(self.manager.ip());
        match known {
            true => TcpStream::connect(self.manager),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn http(client: TcpStream, rules: &Rules) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut answer = client.try_clone()?;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let first = head.first().cloned().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let wanted = format!("Basic {}", base64(format!("{NAME}:{PASSWORD}").as_bytes()));
    let header = |name: &str| {
        head.iter()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    if rules.guarded && header("proxy-authorization") != Some(wanted) {
        rules.note("refused".to_owned());
        answer.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\
              Proxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\
              Connection: close\r\n\r\n",
        )?;
        return Ok(());
    }
    rules.note(format!("{method} {target}"));
    if method == "CONNECT" {
        let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
        let Ok(upstream) = rules.reach(host) else {
            return answer.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        };
        answer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return both(reader.buffer(), client, upstream);
    }
    // A request that it reads: to the origin, without what is between the two of us.
    let rest = target.strip_prefix("http://").unwrap_or(target);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let Ok(mut upstream) = rules.reach(host) else {
        return answer.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    let mut request = format!("{method} /{path} HTTP/1.1\r\n");
    for line in &head[1..] {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !matches!(
            name.as_str(),
            "proxy-authorization" | "proxy-connection" | "connection" | "upgrade"
        ) {
            request.push_str(line);
            request.push_str("\r\n");
        }
    }
    request.push_str("Connection: close\r\n\r\n");
    upstream.write_all(request.as_bytes())?;
    both(reader.buffer(), client, upstream)
}

fn socks(mut client: TcpStream, rules: &Rules) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let take = |client: &mut TcpStream, count: usize| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let head = take(&mut client, 2)?;
    let offered = take(&mut client, usize::from(head[1]))?;
    let method = if rules.guarded { 2 } else { 0 };
    if !offered.contains(&method) {
        rules.note("refused".to_owned());
        return client.write_all(&[5, 0xff]);
    }
    client.write_all(&[5, method])?;
    if rules.guarded {
        let length = take(&mut client, 2)?[1];
        let name = take(&mut client, length.into())?;
        let length = take(&mut client, 1)?[0];
        let password = take(&mut client, length.into())?;
        let good = name == NAME.as_bytes() && password == PASSWORD.as_bytes();
        client.write_all(&[1, u8::from(!good)])?;
        if !good {
            rules.note("refused".to_owned());
            return Ok(());
        }
    }
    let request = take(&mut client, 4)?;
    let host = match request[3] {
        1 => {
            let octets: [u8; 4] = take(&mut client, 4)?.try_into().map_err(|_| bad())?;
            std::net::Ipv4Addr::from(octets).to_string()
        }
        3 => {
            let length = take(&mut client, 1)?[0];
            String::from_utf8(take(&mut client, length.into())?).map_err(|_| bad())?
        }
        _ => return Err(bad()),
    };
    let port = take(&mut client, 2)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    rules.note(format!("CONNECT {host}:{port}"));
    match rules.reach(&host) {
        Ok(upstream) => {
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
            both(&[], client, upstream)
        }
        Err(_) => client.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]),
    }
}

/// Copies both ways until both have ended; `early` has been read of the client already.
fn both(early: &[u8], client: TcpStream, mut upstream: TcpStream) -> io::Result<()> {
    upstream.set_nodelay(true)?;
    upstream.write_all(early)?;
    let (mut from_client, mut to_upstream) = (client.try_clone()?, upstream.try_clone()?);
    let (mut from_upstream, mut to_client) = (upstream, client);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_upstream, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut from_client, &mut to_upstream);
    let _ = to_upstream.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut number = 0_u32;
        for at in 0..3 {
            number = number << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}
