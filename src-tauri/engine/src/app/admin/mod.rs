//! What administrators do to domains, projects, users, keypairs, policies and resource groups.
//!
//! A request's properties become columns in [`props`]; the other files say which properties there
//! are and what must hold besides.

pub(crate) mod domain;
pub(crate) mod keypair;
pub(crate) mod policy;
pub(crate) mod project;
mod props;
pub(crate) mod resource_group;
pub(crate) mod user;

use axum::http::StatusCode;

pub(crate) use props::Props;

use crate::error::Problem;

/// 409: something else needs it, or has its name.
fn conflict(msg: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "integrity-error",
        "Integrity constraint violated.",
        "database_generic_conflict",
    )
    .msg(msg)
}

/// 404 for something that is named in the request.
fn missing(object: &str, name: &str) -> Problem {
    Problem::not_found(object, "backendai_read_not-found")
        .msg(format!("There is no {object} \"{name}\"."))
}
