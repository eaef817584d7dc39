//! Connections that carry bytes and no requests, or become so at once, in the same way as requests:
//! through the proxy that was chosen, or directly.

use std::time::Duration;

use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::Network;

/// As for every other connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// A refusal is far shorter.
const REFUSAL_MOST: usize = 1 << 20;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Connects to a port of another computer.
///
/// # Errors
/// When nothing answers there, or the proxy refuses.
pub(crate) async fn connect(network: &Network, host: &str, port: u16) -> Result<TcpStream, Cause> {
    let connected = tokio::time::timeout(PATIENCE, reach(network, host, port));
    let stream = connected.await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn reach(network: &Network, host: &str, port: u16) -> Result<TcpStream, Cause> {
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    // Proxies are chosen by the kind of address; bytes go where secured requests go.
    let to: Uri = format!("https://{authority}/").parse()?;
    match network.proxy_to(&to).filter(|_| !is_here(host)) {
        Some(proxy) => through(&proxy, to).await,
        None => Ok(TcpStream::connect((host, port)).await?),
    }
}

/// Whether a host is this computer, which no proxy can know.
pub(crate) fn is_here(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address: Result<std::net::IpAddr, _> = host.parse();
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

async fn through(proxy: &Intercept, to: Uri) -> Result<TcpStream, Cause> {
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    let at = proxy.uri().clone();
    match at.scheme_str() {
        Some(scheme @ ("socks5" | "socks5h")) => {
            let mut socks = SocksV5::new(at.clone(), direct).local_dns(scheme == "socks5");
            if let Some((name, password)) = proxy.raw_auth() {
                socks = socks.with_auth(name.to_owned(), password.to_owned());
            }
            Ok(socks.call(to).await?.into_inner())
        }
        Some("http") => {
            let mut tunnel = Tunnel::new(at, direct);
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            Ok(tunnel.call(to).await?.into_inner())
        }
        _ => Err("only proxies by http:// and socks5:// carry plain connections".into()),
    }
}

/// Whether a proxy stands before an address of plain HTTP. Such a proxy reads the requests that
/// pass, and drops what they say of an upgrade.
pub(crate) fn is_read_on_the_way(network: &Network, to: &Uri) -> bool {
    let host = to.host().unwrap_or_default();
    to.scheme_str() == Some("http")
        && !is_here(host)
        && network
            .proxy_to(to)
            .is_some_and(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")))
}

/// Sends a request that is to turn the connection into something else, over a connection that the
/// proxy does not read. Any other answer comes whole.
///
/// # Errors
/// When nobody answers, or the proxy refuses.
pub(crate) async fn upgrade(
    network: &Network,
    request: http::Request<Empty<bytes::Bytes>>,
) -> Result<(http::response::Parts, Answer), Cause> {
    let uri = request.uri().clone();
    let host = uri.host().ok_or("no host")?.trim_matches(['[', ']']);
    let stream = connect(network, host, uri.port_u16().unwrap_or(80)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let (mut parts, body) = request.into_parts();
    let path = uri.path_and_query().ok_or("no path")?;
    parts.uri = Uri::from(path.clone());
    let mut response = sender
        .send_request(http::Request::from_parts(parts, body))
        .await?;
    let upgrade = hyper::upgrade::on(&mut response);
    let (parts, body) = response.into_parts();
    if parts.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok((parts, Answer::Upgraded(upgrade.await?.into())));
    }
    let body = Limited::new(body, REFUSAL_MOST).collect().await?;
    Ok((parts, Answer::Refused(body.to_bytes())))
}

/// What came of a request for an upgrade.
pub(crate) enum Answer {
    /// The connection is ours.
    Upgraded(reqwest::Upgraded),
    /// What was said instead.
    Refused(bytes::Bytes),
}
