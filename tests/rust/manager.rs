//! The manager API spoken by hand: a signer of our own, so that the product's signer and verifier
//! can't be wrong together.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::computer::Computer;

/// The version that requests announce.
pub(crate) const VERSION: &str = "v9.20250722";

/// A manager, and a keypair for it.
#[derive(Debug, Clone)]
pub struct Manager {
    /// `http://host:port`.
    pub endpoint: String,
    /// The keypair's public half.
    pub access_key: String,
    /// The keypair's secret half.
    pub secret_key: String,
    /// What the `Date` header says; now when absent.
    pub date: Option<String>,
    client: reqwest::Client,
}

/// What the manager said.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Manager {
    /// This computer's engine and its owner's keypair.
    ///
    /// # Errors
    /// When there is no engine, or nobody is logged in.
    pub fn of(computer: &Computer) -> Result<Self> {
        let keypair = computer.gangway(&["keypair", "show", "--secret"])?;
        let text = |value: &Value, key: &str| -> Result<String> {
            Ok(value[key]
                .as_str()
                .with_context(|| key.to_owned())?
                .to_owned())
        };
        Self::at(
            &text(&computer.engine()?, "endpoint")?,
            &text(&keypair, "access_key")?,
            &text(&keypair, "secret_key")?,
        )
    }

    /// The manager at this address, with a keypair of its own.
    ///
    /// # Errors
    /// When no connection can be prepared.
    pub fn at(endpoint: &str, access_key: &str, secret_key: &str) -> Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            date: None,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(60))
                .build()?,
        })
    }

    /// A signed GET.
    ///
    /// # Errors
    /// When the manager can't be reached.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, None).await
    }

    /// A signed POST of JSON.
    ///
    /// # Errors
    /// When the manager can't be reached.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, Some(body)).await
    }

    /// A signed request as the bytes that go over the wire, to be sent as often as one likes.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn raw(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let date = jiff::Timestamp::now().to_string();
        let content_type = "application/json";
        let authorization = self.authorization(method, path, &date, content_type)?;
        let host = self
            .endpoint
            .strip_prefix("http://")
            .context("a plain address is needed")?;
        Ok(format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nDate: {date}\r\n\
             Content-Type: {content_type}\r\nX-BackendAI-Version: {VERSION}\r\n\
             Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes())
    }

    /// A signed request.
    ///
    /// # Errors
    /// When the manager can't be reached.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let date = self
            .date
            .clone()
            .unwrap_or_else(|| jiff::Timestamp::now().to_string());
        let content_type = if body.is_some() {
            "application/json"
        } else {
            "text/plain"
        };
        let mut request = self
            .client
            .request(method.parse()?, format!("{}{path}", self.endpoint))
            .header("Date", &date)
            .header("Content-Type", content_type)
            .header("X-BackendAI-Version", VERSION)
            .header(
                "Authorization",
                self.authorization(method, path, &date, content_type)?,
            );
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = response.bytes().await?.to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer {
            status,
            content_type,
            body,
            bytes,
        })
    }

    /// What shows whose a request is.
    ///
    /// # Errors
    /// When it can't be signed.
    pub(crate) fn authorization(
        &self,
        method: &str,
        path: &str,
        date: &str,
        content_type: &str,
    ) -> Result<String> {
        let host = self.endpoint.trim_start_matches("http://");
        let empty = hex::encode(Sha256::digest(b""));
        let text = format!(
            "{method}\n{path}\n{date}\nhost:{host}\ncontent-type:{content_type}\n\
             x-backendai-version:{VERSION}\n{empty}"
        );
        let day: String = date.chars().filter(char::is_ascii_digit).take(8).collect();
        let key = hmac(self.secret_key.as_bytes(), day.as_bytes())?;
        let key = hmac(&key, host.as_bytes())?;
        let signature = hex::encode(hmac(&key, text.as_bytes())?);
        Ok(format!(
            "BackendAI signMethod=HMAC-SHA256, credential={}:{signature}",
            self.access_key
        ))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

impl Answer {
    /// Expects success.
    ///
    /// # Errors
    /// When it is another status; the message shows the body.
    pub fn ok(self) -> Result<Value> {
        ensure!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            String::from_utf8_lossy(&self.bytes)
        );
        Ok(self.body)
    }

    /// Expects the protocol's own error body: status, and the last part of `type`.
    ///
    /// # Errors
    /// When it is another.
    pub fn refused(self, status: u16, slug: &str) -> Result<Value> {
        let wanted = format!("https://api.backend.ai/probs/{slug}");
        ensure!(
            self.status == status && self.body["type"] == wanted.as_str(),
            "expected {status} {slug}, got {} {}",
            self.status,
            String::from_utf8_lossy(&self.bytes)
        );
        ensure!(
            self.content_type.starts_with("application/problem+json"),
            "an error as {}",
            self.content_type
        );
        for key in ["title", "error_code"] {
            ensure!(self.body[key].is_string(), "no {key} in {}", self.body);
        }
        Ok(self.body)
    }
}
