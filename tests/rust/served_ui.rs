//! `gangway ui`, as its page and others see it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::computer::{Computer, PATIENCE};
use crate::process::{Running, eventually};

/// The server, its address, and the token that was in the address.
#[derive(Debug)]
pub struct Ui {
    /// Where it runs.
    pub computer: Computer,
    _server: Running,
    /// Its own address, `http://127.0.0.1:port`.
    pub address: String,
    /// What the browser was asked to open.
    pub url: String,
    /// What opens it once.
    pub token: String,
}

impl Ui {
    /// On a computer of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub fn new() -> Result<Self> {
        Self::on(Computer::logged_in()?)
    }

    /// On this computer.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on(computer: Computer) -> Result<Self> {
        let server = Running::start(
            computer
                .command(&["ui"])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        let url = eventually("the browser to be asked", PATIENCE, || {
            Ok(computer.home().opened_in_browser())
        })?;
        let (address, token) = url.split_once("/#t=").with_context(|| url.clone())?;
        ensure!(
            address.starts_with("http://127.0.0.1:") && token.len() >= 20,
            "{url}"
        );
        let (address, token) = (address.to_owned(), token.to_owned());
        Ok(Self {
            computer,
            _server: server,
            address,
            url,
            token,
        })
    }

    /// What sends requests as a browser would.
    ///
    /// # Errors
    /// When none can be prepared.
    pub fn client() -> Result<Client> {
        Ok(Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()?)
    }

    /// A request of its own page, not yet sent.
    pub fn post(&self, client: &Client, path: &str, body: &Value) -> RequestBuilder {
        client
            .post(format!("{}{path}", self.address))
            .header("Content-Type", "application/json")
            .header("Origin", &self.address)
            .body(body.to_string())
    }

    /// Trades the token; the cookie as a `Cookie` header wants it.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn enter(&self, client: &Client) -> Result<String> {
        let answer = self
            .post(client, "/api/enter", &json!({"token": self.token}))
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        let cookie = answer
            .headers()
            .get("set-cookie")
            .context("no cookie")?
            .to_str()?
            .to_owned();
        for part in ["HttpOnly", "SameSite=Strict"] {
            ensure!(cookie.contains(part), "no {part} in {cookie}");
        }
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// The answer to a command that the page asks for, confirmed by the user.
    ///
    /// # Errors
    /// When it fails; the message shows how.
    pub async fn call(&self, cookie: &str, name: &str, request: &Value) -> Result<Value> {
        let answer = self
            .post(&Self::client()?, &format!("/api/call/{name}"), request)
            .header("Cookie", cookie)
            .header("X-Gangway-Confirmed", "yes")
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{name}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
