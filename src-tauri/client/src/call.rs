//! A request before it is signed and sent.

use http::Method;
use serde::Serialize;

use crate::Error;

/// A request before it is signed.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) anonymous: bool,
    /// Whether it may be sent again: it changes nothing.
    pub(crate) reads: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &[&'a str]) -> Self {
        Self {
            reads: matches!(method, Method::GET | Method::HEAD),
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
