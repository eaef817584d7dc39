//! What stands behind an address: a manager, its web server, or something else.

use std::time::Duration;

use protocol::api::auth::Announcement;
use url::Url;

use crate::call::Call;
use crate::error::Found;
use crate::{Client, Error, Network};

/// How the manager is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Doorway {
    /// Directly; requests are signed.
    #[default]
    Manager,
    /// Through its web server, which keeps the login and signs.
    WebServer,
}

/// A manager that has answered.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// Its address, with what was left out.
    pub endpoint: String,
    /// How it is reached.
    pub doorway: Doorway,
    /// What it says of itself.
    pub announcement: Announcement,
}

impl Discovered {
    /// Host and port (when it is not the usual one) as a part of a name: `lab.example.com`,
    /// `10.0.0.1-8090`.
    #[must_use]
    pub fn host(&self) -> String {
        let url = Url::parse(&self.endpoint).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("manager");
        let host = host.trim_matches(['[', ']']).replace(':', "-");
        match url.as_ref().and_then(Url::port) {
            Some(port) => format!("{host}-{port}"),
            None => host,
        }
    }
}

/// Finds out, by way of `network`, what stands behind an address as a person types it: `cluster.example.com` is taken
/// as `https://cluster.example.com`.
///
/// # Errors
/// [`Error::Address`] when it is no address, [`Error::NotManager`] and [`Error::WrongScheme`] when
/// something else answers, [`Error::Silent`] when nothing comes, [`Error::Certificate`] and
/// [`Error::Unreachable`] when nothing can.
pub async fn discover(address: &str, network: &Network) -> Result<Discovered, Error> {
    let typed = address.trim();
    let endpoint = match typed.contains("://") {
        true => typed.to_owned(),
        false => format!("https://{typed}"),
    };
    let direct = Client::behind(Doorway::Manager, &endpoint, None)?.through(network.clone());
    let web = Client::behind(Doorway::WebServer, &endpoint, None)?.through(network.clone());
    let mut first = None;
    for (doorway, client) in [(Doorway::Manager, &direct), (Doorway::WebServer, &web)] {
        match look(client).await {
            Ok(announcement) => {
                return Ok(Discovered {
                    endpoint: client.endpoint().to_owned(),
                    doorway,
                    announcement,
                });
            }
            // Whoever speaks HTTP at all may be a web server; all else fails twice.
            Err(error @ Error::NotManager { .. }) => first = first.or(Some(error)),
            Err(error) => return Err(scheme(client, network, error).await),
        }
    }
    Err(first.unwrap_or(Error::Address {
        address: address.to_owned(),
    }))
}

/// Nobody wants to wait longer to learn that an address is the wrong one.
const LOOK: Duration = Duration::from_secs(10);

async fn look(client: &Client) -> Result<Announcement, Error> {
    let call = Call::get(&[]).anonymous().within(LOOK);
    let response = client.send_unchecked(&call).await?;
    let endpoint = client.endpoint().to_owned();
    let status = response.status();
    let not = |found| {
        Err(Error::NotManager {
            endpoint: endpoint.clone(),
            found,
        })
    };
    if status.is_redirection() {
        let target = response
            .headers()
            .get(http::header::LOCATION)
            .and_then(|target| target.to_str().ok())
            .and_then(|target| Url::parse(client.endpoint()).ok()?.join(target).ok());
        let asked = Url::parse(client.endpoint()).ok();
        let asked_host = asked.as_ref().and_then(Url::host_str);
        let host = target.as_ref().and_then(Url::host_str).map(str::to_owned);
        return match (host, target) {
            (Some(host), _) if Some(host.as_str()) != asked_host => not(Found::Redirect { host }),
            // Many gateways lead from the one scheme to the other.
            (Some(_), Some(target))
                if target.scheme() == "https" && asked.is_some_and(|it| it.scheme() == "http") =>
            {
                Err(Error::WrongScheme {
                    endpoint,
                    speaks: "https",
                })
            }
            _ => not(Found::Other {
                status: status.as_u16(),
            }),
        };
    }
    let body = client.whole(response).await?;
    let text = String::from_utf8_lossy(&body);
    if let Ok(announcement) = serde_json::from_str(&text) {
        return Ok(announcement);
    }
    // What a TLS server answers to whoever speaks in the clear.
    if status == http::StatusCode::BAD_REQUEST && text.contains("HTTPS port") {
        return Err(Error::WrongScheme {
            endpoint,
            speaks: "https",
        });
    }
    match text.trim_start().starts_with('<') {
        true => not(Found::Page),
        false => not(Found::Other {
            status: status.as_u16(),
        }),
    }
}

/// Whether the other scheme would have been the right one: it answers there.
async fn scheme(client: &Client, network: &Network, error: Error) -> Error {
    if !matches!(error, Error::Unreachable { .. }) {
        return error;
    }
    let endpoint = client.endpoint();
    let (other, speaks) = match endpoint.split_once("://") {
        Some(("https", rest)) => (format!("http://{rest}"), "http"),
        Some((_, rest)) => (format!("https://{rest}"), "https"),
        None => return error,
    };
    // A port that is closed is closed for both.
    let answers = match Client::behind(Doorway::Manager, &other, None) {
        Ok(other) => match look(&other.through(network.clone())).await {
            Ok(_) | Err(Error::NotManager { .. }) => true,
            Err(Error::Certificate { .. }) => speaks == "https",
            Err(_) => false,
        },
        Err(_) => false,
    };
    match answers {
        true => Error::WrongScheme {
            endpoint: endpoint.to_owned(),
            speaks,
        },
        false => error,
    }
}
