//! Bodies and queries as the manager API reads them, and how it refuses them.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::error::Problem;
use crate::state::App;

/// A JSON body, whatever its content type says. It must be there, even as `{}`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        Self::of(request, app).await
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads the body of `request`.
    pub(crate) async fn of(request: Request, app: &App) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|_| Problem::malformed_body())?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|_| Problem::malformed_body())?;
        serde_json::from_value(value)
            .map(Self)
            .map_err(|error| Problem::unparsable(error.to_string()))
    }
}

/// A query; keys that nobody asks for are left alone.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

impl<T: DeserializeOwned> Params<T> {
    /// Reads the query of `uri`.
    pub(crate) fn of(uri: &axum::http::Uri) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::unparsable(error.body_text()))
    }
}

/// A query as the pairs that it is made of, for keys that may come more than once.
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl FromRequestParts<App> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Params::from_request_parts(parts, app)
            .await
            .map(|Params(pairs)| Self(pairs))
    }
}

/// A boolean in a query or a body, as the manager's parser takes it: true, 1, yes, on, …
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Raw {
        Flag(bool),
        Number(i64),
        Text(String),
    }
    match Raw::deserialize(deserializer)? {
        Raw::Flag(flag) => Ok(flag),
        Raw::Number(0) => Ok(false),
        Raw::Number(1) => Ok(true),
        Raw::Number(other) => Err(D::Error::custom(format!("{other} is not a boolean"))),
        Raw::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
            _ => Err(D::Error::custom(format!("\"{text}\" is not a boolean"))),
        },
    }
}
