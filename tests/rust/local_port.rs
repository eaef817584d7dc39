//! What answers on a port of the loopback address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

/// The whole answer to `GET path` there, head and body.
///
/// # Errors
/// When nothing listens, nothing comes for half a minute, or an empty answer.
pub fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    ensure!(!page.is_empty(), "an empty answer");
    Ok(page)
}

/// Whether a web server answers there.
#[must_use]
pub fn answers_http(port: u64) -> bool {
    begins(port, "HTTP/1.1 200")
}

/// Whether a tunnel to a web app answers there: it turns a stranger away, who has not been given
/// the app's secret.
#[must_use]
pub fn tunnel_answers(port: u64) -> bool {
    begins(port, "HTTP/1.1 403")
}

fn begins(port: u64, with: &str) -> bool {
    let page = u16::try_from(port).ok().map(|port| get(port, "/"));
    page.is_some_and(|page| page.is_ok_and(|page| page.starts_with(with)))
}
