//! What answers on a port of this computer.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

/// The whole answer to `GET path` there, head and body.
///
/// # Errors
/// When nothing listens, nothing comes for half a minute, or an empty answer.
pub fn get(port: u16, path: &str) -> Result<String> {
    get_at(IpAddr::V4(Ipv4Addr::LOCALHOST), port, path)
}

/// The same with more headers, each with its line end.
///
/// # Errors
/// As [`get`].
pub fn get_with(port: u16, path: &str, headers: &str) -> Result<String> {
    ask(IpAddr::V4(Ipv4Addr::LOCALHOST), port, path, headers)
}

/// The same at another address of this computer.
///
/// # Errors
/// As [`get`].
pub fn get_at(address: IpAddr, port: u16, path: &str) -> Result<String> {
    ask(address, port, path, "")
}

fn ask(address: IpAddr, port: u16, path: &str, headers: &str) -> Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\n{headers}Connection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    ensure!(!page.is_empty(), "an empty answer");
    Ok(page)
}

/// Whether a web server answers there.
#[must_use]
pub fn answers_http(port: u64) -> bool {
    let page = u16::try_from(port).ok().map(|port| get(port, "/"));
    page.is_some_and(|page| page.is_ok_and(|page| page.starts_with("HTTP/1.1 200")))
}
