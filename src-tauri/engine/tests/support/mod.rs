//! A real engine in this process, and signed requests to it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::{Engine, Options};
use jiff::Timestamp;
use protocol::api::auth::LocalLogin;
use protocol::signing;
use reqwest::{Method, RequestBuilder, Response};
use runtime::{
    Exit, Kernel, KernelId, KernelSpec, LogFollower, Node, Notice, Owner, Runtime, RuntimeError,
    Swept,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const VERSION: &str = "v9.20250722";

/// Seconds that the engine's clock shows instead of the real time; 0 shows the real time.
pub(crate) static CLOCK: AtomicI64 = AtomicI64::new(0);

pub(crate) fn clock() -> Timestamp {
    match CLOCK.load(Ordering::SeqCst) {
        0 => Timestamp::now(),
        seconds => Timestamp::from_second(seconds).unwrap(),
    }
}

/// Seconds that the engine believes to have passed besides those that did.
pub(crate) static PASSED: AtomicU64 = AtomicU64::new(0);

pub(crate) fn steady() -> Duration {
    engine::steady() + Duration::from_secs(PASSED.load(Ordering::SeqCst))
}

pub(crate) fn runner() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let found = ["debug", "release"]
        .map(|profile| {
            target
                .join("x86_64-unknown-linux-musl")
                .join(profile)
                .join("gangway-runner")
        })
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    std::env::var_os("GANGWAY_RUNNER")
        .map(PathBuf::from)
        .or(found)
        .unwrap_or_else(|| panic!("build gangway-runner for musl first: cargo xtask test does"))
}

pub(crate) struct TestEngine {
    pub(crate) engine: Option<Engine>,
    pub(crate) home: TempDir,
    pub(crate) login: LocalLogin,
    pub(crate) client: reqwest::Client,
}

impl TestEngine {
    pub(crate) async fn start(runtime: Arc<dyn Runtime>) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::start_in(home, runtime).await
    }

    pub(crate) async fn start_in(home: TempDir, runtime: Arc<dyn Runtime>) -> Self {
        let engine = engine::start(options(&home, runtime)).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let login = serde_json::from_value(local(&home, "POST", "/gangway/login").await.1).unwrap();
        Self {
            engine: Some(engine),
            home,
            login,
            client,
        }
    }

    pub(crate) async fn stop(mut self) -> TempDir {
        self.engine.take().unwrap().stop().await;
        self.home
    }

    pub(crate) fn signed(&self, method: Method, target: &str) -> RequestBuilder {
        self.signed_by(
            method,
            target,
            &self.login.access_key,
            &self.login.secret_key,
        )
    }

    pub(crate) fn signed_by(
        &self,
        method: Method,
        target: &str,
        access_key: &str,
        secret_key: &str,
    ) -> RequestBuilder {
        self.signed_as(method, target, (access_key, secret_key), VERSION)
    }

    /// Signed in another version of the API.
    pub(crate) fn signed_in(&self, method: Method, target: &str, version: &str) -> RequestBuilder {
        let keypair = (
            self.login.access_key.as_str(),
            self.login.secret_key.as_str(),
        );
        self.signed_as(method, target, keypair, version)
    }

    fn signed_as(
        &self,
        method: Method,
        target: &str,
        (access_key, secret_key): (&str, &str),
        version: &str,
    ) -> RequestBuilder {
        let date = clock().to_string();
        let endpoint = &self.login.endpoint;
        let request = signing::Request {
            method: method.as_str(),
            target,
            authority: endpoint.strip_prefix("http://").unwrap(),
            date: &date,
            content_type: "application/json",
            version,
        };
        let authorization = signing::authorization(&request, access_key, secret_key).unwrap();
        self.client
            .request(method.clone(), format!("{endpoint}{target}"))
            .header("Date", date)
            .header("Content-Type", "application/json")
            .header("X-BackendAI-Version", version)
            .header("Authorization", authorization)
    }

    pub(crate) async fn get(&self, target: &str) -> (u16, Value) {
        answer(self.signed(Method::GET, target).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> (u16, Value) {
        answer(
            self.signed(Method::POST, target)
                .body(body.to_string())
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn delete(&self, target: &str) -> (u16, Value) {
        answer(self.signed(Method::DELETE, target).send().await.unwrap()).await
    }
}

pub(crate) fn data_dir(home: &TempDir) -> PathBuf {
    home.path().join("data")
}

pub(crate) fn options(home: &TempDir, runtime: Arc<dyn Runtime>) -> Options {
    Options {
        data_dir: data_dir(home),
        runtime_dir: home.path().join("run"),
        listen: engine::DEFAULT_LISTEN,
        runtime,
        clock,
        steady,
        start_pause: Duration::from_millis(20),
    }
}

pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// The slug of a problem body.
pub(crate) fn slug(body: &Value) -> &str {
    body["type"]
        .as_str()
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default()
}

/// A request on the owner's socket.
pub(crate) async fn local(home: &TempDir, method: &str, path: &str) -> (u16, Value) {
    let socket = home.path().join("run/engine.sock");
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A computer on which no session ever starts: for what happens before one does.
pub(crate) struct NoKernels;

#[async_trait]
impl Runtime for NoKernels {
    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        Ok(vec![Node {
            name: "here".into(),
            architecture: "x86_64".into(),
            cpu: 4,
            mem: 8 << 30,
            overcommit: Default::default(),
            accelerators: Default::default(),
            live: Default::default(),
        }])
    }

    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    fn owner(&self) -> Option<Owner> {
        None
    }

    async fn start(&self, _: KernelSpec) -> Result<Arc<dyn Kernel>, RuntimeError> {
        Err(RuntimeError::Start {
            reason: "nothing starts here".into(),
        })
    }

    async fn adopt(&self, _: KernelId) -> Result<Option<Arc<dyn Kernel>>, RuntimeError> {
        Ok(None)
    }

    async fn exit(&self, _: KernelId) -> Result<Option<Exit>, RuntimeError> {
        Ok(None)
    }

    async fn logs(&self, _: KernelId, _: usize) -> Result<String, RuntimeError> {
        Ok("the last words".into())
    }

    async fn follow_log(&self, _: KernelId, _: u64) -> Result<Option<LogFollower>, RuntimeError> {
        Ok(None)
    }

    async fn remove(&self, _: KernelId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn sweep(&self, _: &[KernelId]) -> Result<Swept, RuntimeError> {
        Ok(Swept::default())
    }
}
