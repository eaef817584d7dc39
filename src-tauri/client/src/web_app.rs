//! A session's web app at the cluster's app proxy, for its owner alone (protocol page
//! "Administrative REST" §10.3): the worker lets in whoever shows its permit. Seen from this side the app answers plain
//! HTTP, as it does inside the session; name, permit and the other way of writing addresses are
//! put in on the way.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use url::{Position, Url};
use uuid::Uuid;

use crate::app_proxy::{Added, Worker, bad};
use crate::network::Versions;
use crate::{Client, Error, StartOptions};

/// The cookie by which a worker knows the owner.
const PERMIT: &str = "appproxy_permit";
/// What may wait in memory, each way.
const BUFFER: usize = 256 * 1024;
/// Headers that speak of one connection (RFC 9110 §7.6.1).
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A web app that a worker of the app proxy serves. Cheap to clone.
#[derive(Clone)]
pub struct WebApp {
    inner: Arc<Inner>,
}

struct Inner {
    /// Scheme, host and port.
    origin: Url,
    permit: HeaderValue,
    http: reqwest::Client,
}

impl std::fmt::Debug for WebApp {
    /// Without the permit.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebApp")
            .field("origin", &self.inner.origin.as_str())
            .finish()
    }
}

impl Client {
    /// Has the cluster's app proxy serve a web app of a session to its owner.
    ///
    /// # Errors
    /// [`Error::Manager`] when the app does not start or there is no app proxy; [`Error::Answer`]
    /// when the app proxy is of another kind.
    pub async fn web_app(
        &self,
        session: Uuid,
        app: &str,
        options: &StartOptions,
    ) -> Result<WebApp, Error> {
        let session = session.to_string();
        let started = self.started(&session, app, options).await?;
        let mut add = started.add(&session)?;
        {
            let mut query = add.query_pairs_mut();
            query
                .append_pair("app", app)
                .append_pair("protocol", "http");
            if let Some(port) = options.port {
                query.append_pair("port", &port.to_string());
            }
        }
        let added: Added = self.follow(add).await?;
        let worker: Worker = self.follow(added.url).await?;
        let (mut origin, headers) = self.leads_to(worker.redirect_url).await?;
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        let permit = permit_in(&headers).ok_or_else(|| bad("it gives no permit"))?;
        // Bodies go on as they are.
        let http = self
            .transport(Versions::One)?
            .no_gzip()
            .no_brotli()
            .build()
            .map_err(|error| Error::Request(error.to_string()))?;
        Ok(WebApp {
            inner: Arc::new(Inner {
                origin,
                permit,
                http,
            }),
        })
    }
}

impl WebApp {
    /// A connection to the app, as if to its own port. It is closed without an answer when the
    /// worker can't be reached.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(BUFFER);
        let app = self.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let app = app.clone();
                async move { app.forward(request).await }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .auto_date_header(false)
                .serve_connection(TokioIo::new(far), answer)
                .with_upgrades();
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to a web app at the app proxy");
            }
        });
        near
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, io::Error>>, io::Error> {
        let near = request
            .headers()
            .contains_key(header::UPGRADE)
            .then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let origin = &self.inner.origin[..Position::BeforePath];
        let address = Url::parse(&format!("{origin}{path}")).map_err(io::Error::other)?;
        let headers = self.asked(parts.headers, near.is_some())?;
        let mut onward = self.inner.http.request(parts.method, address);
        onward = onward.headers(headers);
        if !body.is_end_stream() {
            onward = onward.body(reqwest::Body::wrap(body));
        }
        let response = onward.send().await.map_err(told)?;
        let status = response.status();
        let headers = self.answered(response.headers(), status);
        let body = match (status, near) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(near)) => {
                let far = response.upgrade().await.map_err(told)?;
                tokio::spawn(joined(near, far));
                Empty::new().map_err(|never| match never {}).boxed()
            }
            _ => {
                let body = reqwest::Body::from(response);
                body.map_err(told).boxed()
            }
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// The headers of a request as the worker is to have them.
    fn asked(&self, mut headers: HeaderMap, upgrades: bool) -> io::Result<HeaderMap> {
        let upgrade = headers.get(header::UPGRADE).cloned();
        drop_hop(&mut headers);
        headers.remove(header::HOST);
        if let Some(upgrade) = upgrade.filter(|_| upgrades) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, upgrade);
        }
        let origin = &self.inner.origin[..Position::BeforePath];
        if headers.get(header::ORIGIN).is_some_and(|it| it != "null") {
            headers.insert(
                header::ORIGIN,
                HeaderValue::from_str(origin).map_err(io::Error::other)?,
            );
        }
        if let Some(referer) = header_text(&headers, &header::REFERER) {
            // Apps compare it with their own name.
            let place = Url::parse(referer).ok();
            let rest = place.as_ref().map_or("/", |it| &it[Position::BeforePath..]);
            let referer = HeaderValue::from_str(&format!("{origin}{rest}"));
            headers.insert(header::REFERER, referer.map_err(io::Error::other)?);
        }
        let mut cookies = Vec::new();
        for own in headers.get_all(header::COOKIE) {
            cookies.extend_from_slice(own.as_bytes());
            cookies.extend_from_slice(b"; ");
        }
        cookies.extend_from_slice(PERMIT.as_bytes());
        cookies.push(b'=');
        cookies.extend_from_slice(self.inner.permit.as_bytes());
        let mut cookies = HeaderValue::from_bytes(&cookies).map_err(io::Error::other)?;
        cookies.set_sensitive(true);
        headers.insert(header::COOKIE, cookies);
        Ok(headers)
    }

    /// The headers of an answer as the app gave them.
    fn answered(&self, from: &HeaderMap, status: StatusCode) -> HeaderMap {
        let mut headers = from.clone();
        let upgrade = headers.get(header::UPGRADE).cloned();
        drop_hop(&mut headers);
        if let Some(upgrade) = upgrade.filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, upgrade);
        }
        // The permit is ours to keep.
        headers.remove(header::SET_COOKIE);
        for cookie in from.get_all(header::SET_COOKIE) {
            if !cookie.as_bytes().starts_with(PERMIT.as_bytes()) {
                headers.append(header::SET_COOKIE, cookie.clone());
            }
        }
        let origin = &self.inner.origin[..Position::BeforePath];
        let inside = header_text(from, &header::LOCATION)
            .and_then(|to| to.strip_prefix(origin))
            .filter(|rest| rest.starts_with('/'))
            .and_then(|rest| HeaderValue::from_str(rest).ok());
        if let Some(inside) = inside {
            headers.insert(header::LOCATION, inside);
        }
        headers
    }
}

/// Carries what has become something else than HTTP, until one side ends.
async fn joined(near: hyper::upgrade::OnUpgrade, mut far: reqwest::Upgraded) {
    let carried = async {
        let mut near = TokioIo::new(near.await.map_err(io::Error::other)?);
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, "a stream of a web app at the app proxy");
    }
}

/// Without the address, which is the worker's own affair.
fn told(error: reqwest::Error) -> io::Error {
    io::Error::other(error.without_url())
}

fn drop_hop(headers: &mut HeaderMap) {
    // What `Connection` names belongs to it.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The permit among the cookies that a worker sets.
fn permit_in(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get_all(header::SET_COOKIE).iter().find_map(|it| {
        let pair = it.to_str().ok()?.split(';').next()?;
        let (name, value) = pair.split_once('=')?;
        let mut permit = HeaderValue::from_str(value.trim()).ok()?;
        permit.set_sensitive(true);
        (name.trim() == PERMIT && !permit.is_empty()).then_some(permit)
    })
}
