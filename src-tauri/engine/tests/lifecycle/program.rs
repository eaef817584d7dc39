//! An engine as a program of its own, and signed requests to it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::process::Stdio;
use std::time::Duration;

use protocol::api::auth::LocalLogin;
use protocol::signing;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

pub(crate) use crate::support::runner;
use crate::support::{self, VERSION, answer};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// An engine as its users have it: a process that can be killed.
pub(crate) struct Program {
    child: Child,
    home: TempDir,
    environ: Vec<(&'static str, String)>,
    /// Seconds by which the engine's clock is ahead of ours.
    pub(crate) ahead: i64,
    login: LocalLogin,
    client: reqwest::Client,
}

impl Program {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(home: TempDir) -> Self {
        Self::start_with(home, Vec::new()).await
    }

    /// Starts one with more variables.
    pub(crate) async fn start_with(home: TempDir, environ: Vec<(&'static str, String)>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gangway-engine"))
            .arg("--log-level")
            .arg("engine=debug,runtime=debug,info")
            .env("GANGWAY_HOME", home.path())
            .env("GANGWAY_RUNNER", runner())
            .envs(environ.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .next_line()
            .await
            .unwrap()
            .expect("the engine says that it is ready");
        assert!(ready.starts_with("ready http://127.0.0.1:"), "{ready}");
        let (_, login) = support::local(&home, "POST", "/gangway/login").await;
        let login = serde_json::from_value(login).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            child,
            home,
            environ,
            ahead: 0,
            login,
            client,
        }
    }

    /// What `GANGWAY_HOME` names.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// kill -9, and a new engine on the same data.
    pub(crate) async fn killed_and_started_again(mut self) -> Self {
        self.child.kill().await.unwrap();
        Self {
            ahead: self.ahead,
            ..Self::start_with(self.home, self.environ).await
        }
    }

    /// kill -9 of the outermost process of every session.
    pub(crate) fn kill_sessions(&self) {
        self.kill_kernels(|_| true);
    }

    /// kill -9 of the outermost process of one kernel.
    pub(crate) fn kill_kernel(&self, id: &str) {
        self.kill_kernels(|folder| folder.ends_with(id));
    }

    fn kill_kernels(&self, chosen: impl Fn(&std::path::Path) -> bool) {
        let mut folders = vec![self.home.path().to_owned()];
        let mut killed = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_name() == "kernel.json" && chosen(&folder) {
                    let record: Value =
                        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                    let pid = record["supervisor"]["pid"].as_i64().unwrap();
                    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
                    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
                    killed += 1;
                } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && entry.file_name() != "home"
                {
                    folders.push(path);
                }
            }
        }
        assert!(killed > 0, "nothing was there to be killed");
    }

    pub(crate) fn headers(
        &self,
        method: &Method,
        target: &str,
        content_type: &str,
    ) -> [(&'static str, String); 3] {
        let ahead = jiff::SignedDuration::from_secs(self.ahead);
        let date = (jiff::Timestamp::now() + ahead).to_string();
        let request = signing::Request {
            method: method.as_str(),
            target,
            authority: self.login.endpoint.strip_prefix("http://").unwrap(),
            date: &date,
            content_type,
            version: VERSION,
        };
        let authorization =
            signing::authorization(&request, &self.login.access_key, &self.login.secret_key);
        [
            ("Date", date),
            ("X-BackendAI-Version", VERSION.to_owned()),
            ("Authorization", authorization.unwrap()),
        ]
    }

    pub(crate) fn request(
        &self,
        method: Method,
        target: &str,
        content_type: &str,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{target}", self.login.endpoint);
        let mut request = self.client.request(method.clone(), url);
        for (name, value) in self.headers(&method, target, content_type) {
            request = request.header(name, value);
        }
        request
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self
            .request(method, target, "application/json")
            .header("Content-Type", "application/json");
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        answer(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Value {
        let (status, body) = self.call(Method::GET, target, None).await;
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, target, Some(body)).await
    }

    pub(crate) async fn launch(&self, name: &str, config: Value) -> Value {
        let body = json!({
            "name": name, "image": "local/host:latest", "type": "interactive", "group": "default",
            "domain": "default", "config": config,
        });
        let (status, body) = self.post("/session", body).await;
        assert_eq!(status, 201, "{body}");
        assert_eq!(body["status"], "RUNNING", "{body}");
        body
    }

    /// Runs a shell command in a session: its exit code and what it printed.
    pub(crate) async fn shell(&self, session: &str, command: &str) -> (i64, String) {
        let begin = json!({ "mode": "batch", "options": { "exec": command } });
        let mut text = String::new();
        let (status, mut body) = self.post(&format!("/session/{session}"), begin).await;
        loop {
            assert_eq!(status, 200, "{body}");
            let result = &body["result"];
            for piece in result["console"].as_array().unwrap() {
                text.push_str(piece[1].as_str().unwrap());
            }
            if result["status"] == "finished" {
                return (result["exitCode"].as_i64().unwrap(), text);
            }
            let more = json!({ "mode": "continue", "code": "", "runId": result["runId"] });
            body = self.post(&format!("/session/{session}"), more).await.1;
        }
    }

    pub(crate) async fn open(&self, session: &str, query: &str) -> Socket {
        let target = format!("/stream/session/{session}/tcpproxy?{query}");
        let url = format!(
            "{}{target}",
            self.login.endpoint.replace("http://", "ws://")
        );
        let mut request = url.into_client_request().unwrap();
        for (name, value) in self.headers(&Method::GET, &target, signing::DEFAULT_CONTENT_TYPE) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request).await.unwrap().0
    }

    /// Waits until a session is in `status`, by its events.
    pub(crate) async fn until(&self, session: &str, status: &str) -> Value {
        let target = format!("/events/session?sessionId={session}&scope=session");
        let request = self.request(Method::GET, &target, signing::DEFAULT_CONTENT_TYPE);
        let mut events = request.send().await.unwrap();
        assert_eq!(events.headers()["content-type"], "text/event-stream");
        loop {
            let info = self.get(&format!("/session/{session}")).await;
            if info["status"] == status {
                return info;
            }
            let next = tokio::time::timeout(Duration::from_secs(60), events.chunk()).await;
            next.expect("an event within a minute")
                .unwrap()
                .expect("the stream goes on");
        }
    }
}
