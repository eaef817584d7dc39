//! One manager and one keypair: signs requests, sends them, reads what comes back.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use protocol::api::auth::Announcement;
use protocol::signing;
use protocol::version::ApiVersion;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::{Position, Url};

use crate::answer::{is_page, refused};
use crate::auth::{Credentials, Keypair};
use crate::call::Call;
use crate::clock::Clock;
use crate::connect::is_here;
use crate::network::Versions;
use crate::retry::{Setback, wanted_pause};
use crate::{Doorway, Error, Network};

/// The longest silence that is ever meant; each kind of request has its own, see [`Call`].
const SILENCE: Duration = Duration::from_secs(310);

/// The web server takes the id of a login in it, as it does in a cookie.
pub(crate) const SESSION_HEADER: &str = "x-backendai-sessionid";

/// A manager, with or without an account on it. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Url,
    doorway: Doorway,
    credentials: Option<Credentials>,
    network: Network,
    version: RwLock<ApiVersion>,
    announcement: OnceCell<Announcement>,
    http: OnceLock<reqwest::Client>,
    upgradable: OnceLock<reqwest::Client>,
    clock: Clock,
    /// Set when the manager has no way to a service itself.
    past_manager: Arc<AtomicBool>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.inner.endpoint.as_str())
            .finish()
    }
}

impl Client {
    /// A client of the manager at `endpoint` (`http://127.0.0.1:8081`). Sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Address`] when that is no HTTP address.
    pub fn new(endpoint: &str, keypair: Option<Keypair>) -> Result<Self, Error> {
        Self::behind(
            Doorway::Manager,
            endpoint,
            keypair.map(Credentials::Keypair),
        )
    }

    /// A client of the manager behind `doorway`. Sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Address`] when `endpoint` is no HTTP address.
    pub fn behind(
        doorway: Doorway,
        endpoint: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, Error> {
        let bad = || Error::Address {
            address: endpoint.to_owned(),
        };
        let mut url = Url::parse(endpoint.trim()).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad());
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self::made(url, doorway, credentials, Network::default()))
    }

    fn made(
        endpoint: Url,
        doorway: Doorway,
        credentials: Option<Credentials>,
        network: Network,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                endpoint,
                doorway,
                credentials,
                network,
                version: RwLock::new(ApiVersion::CURRENT),
                announcement: OnceCell::new(),
                http: OnceLock::new(),
                upgradable: OnceLock::new(),
                clock: Clock::default(),
                past_manager: Arc::default(),
            }),
        }
    }

    pub(crate) fn with_network(&self, network: Network) -> Self {
        let Inner {
            endpoint,
            doorway,
            credentials,
            ..
        } = &*self.inner;
        Self::made(endpoint.clone(), *doorway, credentials.clone(), network)
    }

    /// Address of the manager, without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.inner.endpoint.as_str().trim_end_matches('/')
    }

    /// How the manager is reached.
    #[must_use]
    pub fn doorway(&self) -> Doorway {
        self.inner.doorway
    }

    /// Public half of the account's keypair.
    #[must_use]
    pub fn access_key(&self) -> Option<&str> {
        self.inner
            .credentials
            .as_ref()
            .map(|credentials| match credentials {
                Credentials::Keypair(keypair) => keypair.access_key.as_str(),
                Credentials::WebSession(session) => session.access_key.as_str(),
            })
    }

    /// What the manager says of itself; asked once. From then on requests use the newest API
    /// version that both speak.
    ///
    /// # Errors
    /// When it can't be reached or is no manager.
    pub async fn announcement(&self) -> Result<&Announcement, Error> {
        self.inner
            .announcement
            .get_or_try_init(|| async {
                let found: Announcement = self.json(Call::get(&[]).anonymous()).await?;
                let both = ApiVersion::CURRENT.negotiate(found.version);
                if let Ok(mut version) = self.inner.version.write() {
                    *version = both;
                }
                Ok(found)
            })
            .await
    }

    /// Whether streams go by the app proxy first.
    pub(crate) fn past_manager(&self) -> &Arc<AtomicBool> {
        &self.inner.past_manager
    }

    /// The API version that requests carry.
    #[must_use]
    pub fn version(&self) -> ApiVersion {
        self.inner
            .version
            .read()
            .map_or(ApiVersion::CURRENT, |version| *version)
    }

    /// Whether the manager is our engine.
    ///
    /// # Errors
    /// When it can't be reached.
    pub async fn is_ours(&self) -> Result<bool, Error> {
        Ok(self.announcement().await?.gangway.is_some())
    }

    /// Whether the manager is our engine and offers `capability`.
    ///
    /// # Errors
    /// When it can't be reached.
    pub async fn has(&self, capability: &str) -> Result<bool, Error> {
        let extensions = self.announcement().await?.gangway.as_ref();
        Ok(extensions.is_some_and(|ours| ours.capabilities.iter().any(|c| c == capability)))
    }

    pub(crate) async fn require(&self, capability: &'static str) -> Result<(), Error> {
        match self.has(capability).await? {
            true => Ok(()),
            false => Err(Error::Unsupported { what: capability }),
        }
    }

    /// The address below the manager's, each part encoded by itself.
    pub(crate) fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, Error> {
        let mut url = self.inner.endpoint.clone();
        let prefix = match self.inner.doorway {
            Doorway::Manager => None,
            Doorway::WebServer if path.first() == Some(&"server") => None,
            Doorway::WebServer => Some("func"),
        };
        let mut segments = url.path_segments_mut().map_err(|()| Error::Address {
            address: self.endpoint().to_owned(),
        })?;
        segments.pop_if_empty().extend(prefix).extend(path);
        // The web server forwards `/func/` and knows no `/func`.
        if prefix.is_some() && path.is_empty() {
            segments.push("");
        }
        drop(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The headers that make the manager believe who is asking.
    pub(crate) fn sign(
        &self,
        method: &Method,
        url: &Url,
        content_type: Option<&'static str>,
    ) -> Result<HeaderMap, Error> {
        let bad = |error: &dyn std::fmt::Display| Error::Request(error.to_string());
        let mut headers = HeaderMap::new();
        let version = self.version().to_string();
        let date = self
            .inner
            .clock
            .now()
            .strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00")
            .to_string();
        if let Some(Credentials::WebSession(session)) = &self.inner.credentials {
            let mut value =
                HeaderValue::from_str(session.id.expose_secret()).map_err(|error| bad(&error))?;
            value.set_sensitive(true);
            headers.insert(SESSION_HEADER, value);
        }
        if let Some(Credentials::Keypair(keypair)) = &self.inner.credentials {
            let request = signing::Request {
                method: method.as_str(),
                target: &url[Position::BeforePath..Position::AfterQuery],
                authority: &url[Position::BeforeHost..Position::AfterPort],
                date: &date,
                content_type: content_type.unwrap_or(signing::DEFAULT_CONTENT_TYPE),
                version: &version,
            };
            let text = signing::authorization(
                &request,
                &keypair.access_key,
                keypair.secret_key.expose_secret(),
            )
            .map_err(|error| bad(&error))?;
            let mut value = HeaderValue::from_str(&text).map_err(|error| bad(&error))?;
            value.set_sensitive(true);
            headers.insert(http::header::AUTHORIZATION, value);
        }
        let plain = |text: &str| HeaderValue::from_str(text).map_err(|error| bad(&error));
        headers.insert(http::header::DATE, plain(&date)?);
        headers.insert("x-backendai-version", plain(&version)?);
        if let Some(content_type) = content_type {
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static(content_type),
            );
        }
        Ok(headers)
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.inner.endpoint.host_str().is_some_and(is_here)
    }

    /// Made at first use: reading the system's certificates takes longer than many a request.
    pub(crate) fn http(&self) -> Result<&reqwest::Client, Error> {
        made_once(&self.inner.http, || {
            Ok(self.transport(Versions::All)?.read_timeout(SILENCE))
        })
    }

    /// For connections that become something else, which HTTP/2 can't.
    pub(crate) fn upgradable(&self) -> Result<&reqwest::Client, Error> {
        // Always on a connection of its own: one that was kept may lead nowhere any more, after a
        // sleep or on another network, and nothing tells.
        made_once(&self.inner.upgradable, || {
            let builder = self.transport(Versions::One)?.read_timeout(SILENCE);
            let builder = builder.pool_max_idle_per_host(0);
            Ok(match self.inner.endpoint.scheme() {
                // Reading the system's certificates takes longer than the connection.
                "http" => builder.tls_certs_only([]),
                _ => builder,
            })
        })
    }

    pub(crate) fn transport(&self, versions: Versions) -> Result<reqwest::ClientBuilder, Error> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("gangway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none());
        match self.is_loopback() {
            // Nothing lies between, and no proxy knows the way.
            true => self.inner.network.trust(builder.no_proxy(), versions),
            false => self.inner.network.apply(builder, versions),
        }
    }

    /// How the manager is reached.
    pub(crate) fn network(&self) -> &Network {
        &self.inner.network
    }

    /// Sends a request; any status of 400 and more is an error. Reading is tried again when the
    /// network fails; what changes something is sent once.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<reqwest::Response, Error> {
        self.repeat(&call, || self.send_once(&call)).await
    }

    /// As [`Self::send`], and reads all of the answer: one that is cut off counts as none.
    pub(crate) async fn bytes(&self, call: &Call<'_>) -> Result<Bytes, Error> {
        let attempt = || async {
            let response = self.send_once(call).await?;
            self.whole(response).await.map_err(Setback::from)
        };
        self.repeat(call, attempt).await
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<reqwest::Response, Setback> {
        let mut response = self.send_unchecked(call).await?;
        let refused = matches!(response.status().as_u16(), 400 | 401);
        // What carries no date learns for those that come after it.
        let news = (refused || call.anonymous) && self.inner.clock.learn(response.headers());
        if news && !call.anonymous {
            // Refused before anything was done: it may go again, with the manager's own time.
            response = self.send_unchecked(call).await?;
        }
        tracing::debug!(
            what = call.what(),
            status = response.status().as_u16(),
            "manager"
        );
        let wait = wanted_pause(response.status(), response.headers());
        let checked = self.check(response).await;
        checked.map_err(|error| Setback::after(error, wait))
    }

    /// Sends a request once; whatever its status, the answer is one.
    pub(crate) async fn send_unchecked(&self, call: &Call<'_>) -> Result<reqwest::Response, Error> {
        let url = self.url(&call.path, &call.query)?;
        let content_type = call.body.is_some().then_some("application/json");
        let mut headers = match call.anonymous {
            true => HeaderMap::new(),
            false => self.sign(&call.method, &url, content_type)?,
        };
        if call.anonymous && content_type.is_some() {
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let mut request = self
            .http()?
            .request(call.method.clone(), url)
            .headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        self.within(call.patience, request.send()).await
    }

    /// Waits for the beginning of an answer, and not for ever.
    pub(crate) async fn within(
        &self,
        patience: Duration,
        answer: impl Future<Output = reqwest::Result<reqwest::Response>>,
    ) -> Result<reqwest::Response, Error> {
        match tokio::time::timeout(patience, answer).await {
            // The address may hold a token; where the manager is, the error says anyway.
            Ok(answer) => answer.map_err(|error| self.unreachable(error.without_url())),
            Err(_) => Err(self.silent(patience)),
        }
    }

    pub(crate) fn silent(&self, patience: Duration) -> Error {
        Error::Silent {
            endpoint: self.endpoint().to_owned(),
            seconds: patience.as_secs(),
        }
    }

    /// Makes an error of an answer that is one.
    pub(crate) async fn check(
        &self,
        response: reqwest::Response,
    ) -> Result<reqwest::Response, Error> {
        let status = response.status();
        if status.is_success() || status.is_informational() {
            return Ok(response);
        }
        if status == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            // In the words in which a refused tunnel says it.
            return Err(self.unreachable("proxy authorization required"));
        }
        let body = self.whole(response).await.unwrap_or_default();
        let web_session = matches!(self.inner.credentials, Some(Credentials::WebSession(_)));
        if web_session && status == http::StatusCode::UNAUTHORIZED {
            return Err(Error::LoginExpired {
                endpoint: self.endpoint().to_owned(),
            });
        }
        Err(refused(status.as_u16(), &body))
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let what = call.what();
        let bytes = self.bytes(&call).await?;
        serde_json::from_slice(&bytes).map_err(|error| match is_page(&bytes) {
            true => Error::answer(
                what,
                "a web page came, of a gateway or of this network's login",
            ),
            false => Error::answer(what, error),
        })
    }

    pub(crate) async fn done(&self, call: Call<'_>) -> Result<(), Error> {
        self.send(call).await.map(drop)
    }

    pub(crate) fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let source = source.into();
        let endpoint = self.endpoint().to_owned();
        let mut cause: Option<&dyn std::error::Error> = Some(source.as_ref());
        while let Some(error) = cause {
            if error.to_string().contains("invalid peer certificate") {
                return Error::Certificate { endpoint, source };
            }
            cause = error.source();
        }
        Error::Unreachable { endpoint, source }
    }
}

fn made_once(
    place: &OnceLock<reqwest::Client>,
    builder: impl FnOnce() -> Result<reqwest::ClientBuilder, Error>,
) -> Result<&reqwest::Client, Error> {
    if let Some(http) = place.get() {
        return Ok(http);
    }
    let http = builder()?
        .build()
        .map_err(|error| Error::Request(error.to_string()))?;
    Ok(place.get_or_init(|| http))
}
