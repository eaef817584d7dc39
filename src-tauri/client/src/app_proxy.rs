//! The way past the manager: the app proxy of a cluster (protocol page "Sessions" §9), for where
//! the manager's own stream can't be had. A gateway before it may pass no WebSockets, or the
//! manager itself may have no way to the computers that sessions run on.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{ACCEPT, LOCATION};
use protocol::api::session::StartService;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use url::Url;
use uuid::Uuid;

use crate::call::{ANSWER, Call};
use crate::connect::connect;
use crate::{Client, Error, StartOptions};

#[derive(Deserialize)]
pub(crate) struct Started {
    token: String,
    #[serde(default)]
    wsproxy_addr: Option<String>,
}

impl Started {
    /// The first step at the app proxy.
    pub(crate) fn add(&self, session: &str) -> Result<Url, Error> {
        let address = self.wsproxy_addr.as_deref().unwrap_or_default();
        let mut add = Url::parse(address).map_err(|_| bad("it has no address"))?;
        add.path_segments_mut()
            .map_err(|()| bad("it has no address"))?
            .pop_if_empty()
            .extend(["v2", "proxy", &self.token, session, "add"]);
        Ok(add)
    }
}

#[derive(Deserialize)]
pub(crate) struct Added {
    pub(crate) url: Url,
}

#[derive(Deserialize)]
pub(crate) struct Worker {
    pub(crate) redirect_url: Url,
}

/// Meant for a program that listens on this computer; what it would need stands in the query.
#[derive(Deserialize)]
struct Ready {
    redirect: Url,
}

/// Who may come to a web app at the cluster's app proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Addresses and networks; anybody who reaches the app proxy when there are none.
    pub allowed_client_ips: Vec<String>,
    /// The name before the app proxy's domain, where it gives apps names.
    pub subdomain: Option<String>,
}

impl Client {
    /// Has the cluster's app proxy serve a web app of a session to others, without a login, until
    /// the session ends; its address there.
    ///
    /// # Errors
    /// [`Error::Manager`] when the app does not start, with 503 when there is no app proxy;
    /// [`Error::Answer`] when the app proxy is of a kind that shares nothing.
    pub async fn share_app(&self, session: Uuid, app: &str, share: &Share) -> Result<Url, Error> {
        let session = session.to_string();
        let started = self
            .started(&session, app, &StartOptions::default())
            .await?;
        let mut add = started.add(&session)?;
        {
            let mut query = add.query_pairs_mut();
            query
                .append_pair("app", app)
                .append_pair("protocol", "http")
                // Another circuit may be there, which is the owner's alone.
                .append_pair("no_reuse", "true")
                .append_pair("open_to_public", "true");
            if !share.allowed_client_ips.is_empty() {
                let all = share.allowed_client_ips.join(",");
                query.append_pair("allowed_client_ips", &all);
            }
            if let Some(subdomain) = &share.subdomain {
                query.append_pair("subdomain", subdomain);
            }
        }
        let added: Added = self.follow(add).await?;
        let worker: Worker = self.follow(added.url).await?;
        let (address, _) = self.leads_to(worker.redirect_url).await?;
        Ok(address)
    }

    /// Where the last step of the app proxy sends a browser, and with what headers.
    pub(crate) async fn leads_to(&self, address: Url) -> Result<(Url, HeaderMap), Error> {
        let step = self.http()?.get(address.clone()).send();
        let response = self.within(ANSWER, step).await?;
        if !response.status().is_redirection() {
            self.check(response).await?;
            return Err(bad("it leads nowhere"));
        }
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|target| target.to_str().ok())
            .and_then(|target| address.join(target).ok())
            .filter(|target| matches!(target.scheme(), "http" | "https"));
        let target = target.ok_or_else(|| bad("it leads nowhere"))?;
        Ok((target, response.headers().clone()))
    }

    /// Connects to a service of a session through the cluster's app proxy, as plain bytes. The port
    /// there is open to whoever reaches it.
    ///
    /// # Errors
    /// [`Error::Manager`] when the service does not start or there is no app proxy,
    /// [`Error::Answer`] when the app proxy is of a kind that has no plain TCP.
    pub(crate) async fn past_the_manager(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
    ) -> Result<TcpStream, Error> {
        let id = match Uuid::parse_str(session) {
            Ok(id) => id,
            Err(_) => self.id_of(session).await?,
        };
        let session = id.to_string();
        let started = self.started(&session, app, options).await?;
        let gateway = self.gateway(&started, &session, app).await?;
        let (host, port) = gateway;
        connect(self.network(), &host, port)
            .await
            .map_err(|error| self.unreachable(error))
    }

    /// Starts a service of a session without connecting to it.
    ///
    /// # Errors
    /// [`Error::Manager`] when it does not start; with 503 by managers without an app proxy.
    pub async fn start_service(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
    ) -> Result<(), Error> {
        self.started(session, app, options).await.map(drop)
    }

    pub(crate) async fn started(
        &self,
        session: &str,
        app: &str,
        options: &StartOptions,
    ) -> Result<Started, Error> {
        let text = |map: &BTreeMap<String, String>| match map.is_empty() {
            true => Ok(None),
            false => serde_json::to_string(map)
                .map(Some)
                .map_err(|error| Error::Request(error.to_string())),
        };
        let body = StartService {
            app: app.to_owned(),
            port: options.port,
            envs: text(&options.envs)?,
            arguments: text(&options.arguments)?,
        };
        self.json(
            Call::post(&["session", session, "start-service"])
                .json(&body)?
                .works(),
        )
        .await
    }

    /// The app proxy knows sessions by their ids only.
    async fn id_of(&self, name: &str) -> Result<Uuid, Error> {
        let found = self.match_sessions(name).await?;
        let live = found.iter().find(|one| !one.status.is_terminal());
        live.map(|one| one.id).ok_or_else(|| Error::Manager {
            status: 404,
            problem: Box::new(protocol::problem::Problem::new(
                "object-not-found",
                "No such session.",
            )),
        })
    }

    /// Asks the coordinator for a worker, and the worker for the port that it has opened.
    async fn gateway(
        &self,
        started: &Started,
        session: &str,
        app: &str,
    ) -> Result<(String, u16), Error> {
        let mut add = started.add(session)?;
        add.query_pairs_mut()
            .append_pair("app", app)
            .append_pair("protocol", "tcp");
        let added: Added = self.follow(add).await?;
        let worker: Worker = self.follow(added.url).await?;
        let ready: Ready = self.follow(worker.redirect_url).await?;
        gateway_in(&ready.redirect)
    }

    /// One step of the app proxy. Its addresses hold tokens, which no error may show.
    pub(crate) async fn follow<T: DeserializeOwned>(&self, address: Url) -> Result<T, Error> {
        let step = self.http()?.get(address).header(ACCEPT, "application/json");
        let response = self.within(ANSWER, step.send()).await?;
        let response = self.check(response).await?;
        let bytes = self.whole(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::answer("a step of the app proxy", error))
    }
}

pub(crate) fn bad(reason: &str) -> Error {
    Error::answer("a request for the app proxy", reason)
}

/// Host and port of the gateway that stands in the address for a local program.
fn gateway_in(redirect: &Url) -> Result<(String, u16), Error> {
    let mut query = redirect.query_pairs();
    let gateway = query.find(|(name, _)| name == "gateway");
    let (_, gateway) = gateway.ok_or_else(|| bad("it names no gateway"))?;
    let gateway = Url::parse(&gateway).map_err(|_| bad("its gateway has no address"))?;
    match (gateway.scheme(), gateway.host_str(), gateway.port()) {
        ("tcp", Some(host), Some(port)) => {
            let host = host.trim_matches(['[', ']']);
            Ok((host.to_owned(), port))
        }
        _ => Err(bad("its gateway is not reached by TCP")),
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_address_names_a_gateway_or_none(
            address in "(http://localhost/\\?)?(gateway=)?(tcp|http)?(://)?[a-z0-9%:/\\[\\]@?=&.-]{0,30}|\\PC{0,40}",
        ) {
            if let Ok(address) = Url::parse(&address)
                && let Ok((host, _)) = gateway_in(&address)
            {
                prop_assert!(!host.is_empty() && !host.contains(['[', ']', '/', '@']), "{}", host);
            }
        }

        #[test]
        fn a_gateway_is_found(address in any::<std::net::Ipv6Addr>(), name in "[a-z]{1,8}", port in 1u16..) {
            for host in [format!("[{address}]"), name] {
                let mut redirect = Url::parse("http://localhost/").unwrap();
                redirect.query_pairs_mut().append_pair("a", "b").append_pair("gateway", &format!("tcp://{host}:{port}"));
                let (found, at) = gateway_in(&redirect).unwrap();
                prop_assert_eq!(at, port);
                // An address has several spellings.
                match found.parse::<std::net::Ipv6Addr>() {
                    Ok(found) => prop_assert_eq!(found, address),
                    Err(_) => prop_assert_eq!(found, host),
                }
            }
        }

        #[test]
        fn any_step_is_understood_or_refused(bytes in "[{}\":, a-z/_]{0,60}") {
            let _ = serde_json::from_str::<Started>(&bytes);
            let _ = serde_json::from_str::<Added>(&bytes);
            let _ = serde_json::from_str::<Worker>(&bytes);
            let _ = serde_json::from_str::<Ready>(&bytes);
        }
    }
}
