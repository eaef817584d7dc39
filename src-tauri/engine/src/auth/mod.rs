//! Who is asking: checks the signature (or the token) of a request and counts it.
//!
//! The layer looks at every request and leaves what it found for [`Caller`]; a public call never
//! asks for one, so wrong headers on it don't matter, as with the manager.

pub(crate) mod address;
mod jwt;
mod known;
mod rate_limit;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::signing::{self, Credential};
use protocol::version::ApiVersion;
use uuid::Uuid;

pub(crate) use known::KnownCallers;
pub(crate) use rate_limit::RateLimiter;
use rate_limit::Usage;

use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::keypair::Keypair;
use crate::store::user::{Role, User, UserStatus};

/// The authenticated user, and the keypair that they signed with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    pub(crate) keypair: Arc<Keypair>,
}

impl Caller {
    pub(crate) fn user_id(&self) -> Uuid {
        self.user.id
    }

    pub(crate) fn is_superadmin(&self) -> bool {
        self.user.role == Role::Superadmin
    }
}

/// A caller who is superadmin.
pub(crate) struct Superadmin(pub(crate) Caller);

#[derive(Clone)]
enum Found {
    Nobody,
    Caller(Caller),
    Refused(Problem),
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        match parts.extensions.get::<Found>() {
            Some(Found::Caller(caller)) => Ok(caller.clone()),
            Some(Found::Refused(problem)) => Err(problem.clone()),
            Some(Found::Nobody) | None => Err(Problem::auth_failed("Unauthorized access")),
        }
    }
}

impl FromRequestParts<App> for Superadmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.is_superadmin() {
            Ok(Self(caller))
        } else {
            Err(Problem::forbidden("Insufficient privileges"))
        }
    }
}

/// Finds out who asks, counts it, and says on the answer how much may still be asked.
pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (found, usage) = match identify(&app, &parts).await {
        Ok(None) => (Found::Nobody, Usage::anonymous()),
        Err(problem) => (Found::Refused(problem), Usage::anonymous()),
        Ok(Some(caller)) => {
            let usage = app
                .rate
                .count(&caller.keypair.access_key, caller.keypair.rate_limit);
            if usage.exceeded {
                let problem = Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "rate-limit-exceeded",
                    "You have reached your API query rate limit.",
                    "api_access_unavailable",
                );
                return with_usage(problem.into_response(), &usage);
            }
            // Who is nobody is told so before anything else.
            if let Err(problem) = app.freezer.check(&parts.method, parts.uri.path()) {
                return with_usage(problem.into_response(), &usage);
            }
            (Found::Caller(caller), usage)
        }
    };
    parts.extensions.insert(found);
    with_usage(next.run(Request::from_parts(parts, body)).await, &usage)
}

fn with_usage(mut response: Response, usage: &Usage) -> Response {
    let headers = response.headers_mut();
    let values = [
        ("x-ratelimit-limit", usage.limit_text()),
        ("x-ratelimit-remaining", usage.remaining_text()),
        (
            "x-ratelimit-window",
            rate_limit::WINDOW.as_secs().to_string(),
        ),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

async fn identify(app: &App, request: &Parts) -> Result<Option<Caller>, Problem> {
    let headers = &request.headers;
    if let Some(token) = header(headers, "x-backendai-token") {
        return by_token(app, request, token).await.map(Some);
    }
    let Some(authorization) = header(headers, "authorization") else {
        return Ok(None);
    };
    let date = ["date", "x-backendai-date", "x-sorna-date"]
        .into_iter()
        .find_map(|name| header(headers, name))
        .unwrap_or_default();
    signing::check_date(date, (app.clock)())
        .map_err(|_| Problem::invalid_auth_params("Date/time sync error"))?;
    let version_text = header(headers, "x-backendai-version")
        .ok_or_else(|| Problem::invalid_auth_params("API version missing in request headers"))?;
    let credential = Credential::parse(authorization)
        .ok_or_else(|| Problem::invalid_auth_params("Missing or malformed credential"))?;
    let target = request
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let signed = signing::Request {
        method: request.method.as_str(),
        target,
        authority: header(headers, "host").unwrap_or_default(),
        date,
        content_type: header(headers, "content-type").unwrap_or(signing::DEFAULT_CONTENT_TYPE),
        version: version_text,
    };
    let caller = load(app, credential.access_key).await?;
    signing::verify(&signed, &caller.keypair.secret_key, credential.signature)
        .map_err(|_| Problem::auth_failed("Signature mismatch"))?;
    check_version(version_text)?;
    check_active(&caller)?;
    address::check(&caller.user, request)?;
    Ok(Some(caller))
}

async fn by_token(app: &App, request: &Parts, token: &str) -> Result<Caller, Problem> {
    let refused = |why: jwt::Refused| Problem::auth_failed(format!("JWT validation failed: {why}"));
    let access_key = jwt::access_key(token).map_err(refused)?;
    let caller = load(app, &access_key).await?;
    jwt::verify(token, &caller.keypair.secret_key, (app.clock)()).map_err(refused)?;
    check_active(&caller)?;
    address::check(&caller.user, request)?;
    if let Some(version) = header(&request.headers, "x-backendai-version") {
        check_version(version)?;
    }
    Ok(caller)
}

/// Whose access key it is. The database is asked once between two changes of it.
async fn load(app: &App, access_key: &str) -> Result<Caller, Problem> {
    let generation = app.store.generation();
    if let Some(caller) = app.callers.get(access_key, generation) {
        return Ok(caller);
    }
    let key = access_key.to_owned();
    let caller = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let Some(keypair) = store::keypair::get(db, &key)? else {
                return Ok(None);
            };
            let user = store::user::get(db, keypair.user)?;
            Ok(user.map(|user| Caller {
                user: Arc::new(user),
                keypair: Arc::new(keypair),
            }))
        })
        .await?
        .ok_or_else(|| Problem::auth_failed("Access key not found"))?;
    app.callers.put(caller.clone(), generation);
    Ok(caller)
}

fn check_active(caller: &Caller) -> Result<(), Problem> {
    if !caller.keypair.is_active {
        return Err(Problem::auth_failed("Access key is inactive"));
    }
    if caller.user.status != UserStatus::Active {
        return Err(Problem::auth_failed("User is inactive"));
    }
    Ok(())
}

/// All versions that are taken are read the same way: newer ones only have more to say.
fn check_version(text: &str) -> Result<(), Problem> {
    text.parse::<ApiVersion>()
        .ok()
        .filter(|version| ApiVersion::ACCEPTED.contains(version) && *version >= ApiVersion::OLDEST)
        .map(drop)
        .ok_or_else(|| Problem::bad_request("Unsupported API version."))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
