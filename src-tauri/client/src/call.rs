//! A request before it is signed and sent.

use std::time::Duration;

use http::Method;
use serde::Serialize;

use crate::Error;

/// So long an answer to a question may keep everybody waiting.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// The same for what changes something: given up, nobody knows whether it was done.
const CHANGE: Duration = Duration::from_secs(60);
/// The same for what the protocol lets a manager do before it answers: start a session, run a
/// program in it, copy a large home into a folder.
const WORK: Duration = Duration::from_secs(300);

/// A request before it is signed.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) anonymous: bool,
    /// Whether it may be sent again: it changes nothing.
    pub(crate) reads: bool,
    /// How long the manager may say nothing.
    pub(crate) patience: Duration,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &[&'a str]) -> Self {
        let reads = matches!(method, Method::GET | Method::HEAD);
        Self {
            reads,
            patience: match reads {
                true => ANSWER,
                false => CHANGE,
            },
            method,
            path: path.to_vec(),
            query: Vec::new(),
            body: None,
            anonymous: false,
        }
    }

    pub(crate) fn get(path: &[&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &[&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn patch(path: &[&'a str]) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(crate) fn delete(path: &[&'a str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Result<Self, Error> {
        let text = serde_json::to_vec(body).map_err(|error| Error::Request(error.to_string()))?;
        self.body = Some(text);
        Ok(self)
    }

    /// It only reads, whatever its method says.
    pub(crate) fn reads(mut self) -> Self {
        self.reads = true;
        self.patience = ANSWER;
        self
    }

    /// The manager answers when it has done it, which may take minutes.
    pub(crate) fn works(mut self) -> Self {
        self.patience = WORK;
        self
    }

    /// Somebody sits before it: a manager that takes longer is told to be silent.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(crate) fn what(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}
