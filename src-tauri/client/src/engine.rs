//! The bundled engine: finding it, starting it, and its owner-only socket.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use protocol::api::auth::LocalLogin;
use protocol::api::gangway::EngineStatus;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::answer::refused;
use crate::{EngineError, Error};

/// An engine on this very computer that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(30);

/// What the engine writes when it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Its process.
    pub pid: u32,
    /// When that process started, with the boot id.
    pub start_time: String,
    /// Address of the manager API.
    pub endpoint: String,
    /// Its owner-only socket.
    pub socket: PathBuf,
    /// Its version.
    pub version: String,
}

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Where its messages go, appended.
    pub log: PathBuf,
    /// How long it may take.
    pub patience: Duration,
}

/// The engine of one data folder.
#[derive(Debug, Clone)]
pub struct LocalEngine {
    data_dir: PathBuf,
}

impl LocalEngine {
    /// The engine whose data lies in `data_dir`, running or not.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
        }
    }

    /// What the engine left to find it by; it may have ended since.
    #[must_use]
    pub fn beacon(&self) -> Option<Beacon> {
        let text = std::fs::read(self.data_dir.join("engine.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What the engine says of itself; `None` when it does not run.
    ///
    /// # Errors
    /// [`EngineError::Socket`] when it runs and does not answer.
    pub async fn status(&self) -> Result<Option<EngineStatus>, Error> {
        let Some(beacon) = self.beacon() else {
            return Ok(None);
        };
        match self.ask(&beacon, Method::GET, "/gangway/status").await {
            Ok(status) => Ok(Some(status)),
            Err(Error::Engine(EngineError::NotRunning)) => Ok(None),
            Err(error) => {
                if broke_off(&error) && self.ends().await {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    /// Whether the engine, which broke off a connection, is gone, or is in a moment: one that is
    /// killed takes connections until its last thread has ended.
    async fn ends(&self) -> bool {
        for _ in 0..40 {
            if !self.is_locked() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Logs in as the owner of this computer.
    ///
    /// # Errors
    /// [`EngineError::NotRunning`], or [`Error::Manager`] when the engine belongs to another user.
    pub async fn login(&self) -> Result<LocalLogin, Error> {
        let beacon = self.beacon().ok_or(EngineError::NotRunning)?;
        self.ask(&beacon, Method::POST, "/gangway/login").await
    }

    /// Tells the engine to stop and waits until it has. Sessions go on.
    ///
    /// # Errors
    /// [`EngineError::NotRunning`] when there is nothing to stop.
    pub async fn stop(&self) -> Result<(), Error> {
        let beacon = self.beacon().ok_or(EngineError::NotRunning)?;
        self.send(&beacon, Method::POST, "/gangway/shutdown")
            .await?;
        let lock = self.data_dir.join("engine.lock");
        for _ in 0..200 {
            match File::open(&lock).map(|file| file.try_lock_shared()) {
                Ok(Err(std::fs::TryLockError::WouldBlock)) => {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
                _ => return Ok(()),
            }
        }
        Err(EngineError::Slow {
            seconds: 5,
            log: lock,
        }
        .into())
    }

    /// Finds the engine or starts it, and returns when it answers.
    ///
    /// # Errors
    /// [`EngineError`] when it does not come up.
    pub async fn ensure(&self, launch: &Launch) -> Result<EngineStatus, Error> {
        if let Some(status) = self.status().await? {
            return Ok(status);
        }
        let started = tokio::time::timeout(launch.patience, self.start(launch)).await;
        match started {
            Ok(result) => result,
            Err(_) => Err(EngineError::Slow {
                seconds: launch.patience.as_secs(),
                log: launch.log.clone(),
            }
            .into()),
        }
    }

    async fn start(&self, launch: &Launch) -> Result<EngineStatus, Error> {
        let files = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Files { path, source }
        };
        if let Some(directory) = launch.log.parent() {
            std::fs::create_dir_all(directory).map_err(files(directory))?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&launch.log)
            .map_err(files(&launch.log))?;
        let before = log.metadata().map_or(0, |data| data.len());
        let mut command = Command::new(&launch.program);
        command
            .arg("--data-dir")
            .arg(&self.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        // Not in the terminal's foreground group: Ctrl-C there is not meant for it.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|source| EngineError::Spawn {
            program: launch.program.clone(),
            source,
        })?;
        let mut said = child.stdout.take().map(|out| BufReader::new(out).lines());
        let ready = match &mut said {
            Some(lines) => lines.next_line().await.ok().flatten(),
            None => None,
        };
        if ready.is_some_and(|line| line.starts_with("ready ")) {
            if let Some(status) = self.status().await? {
                return Ok(status);
            }
            return Err(EngineError::NotRunning.into());
        }
        let _ = child.wait().await;
        // Another program may have started one at the same moment; that one is as good.
        for _ in 0..40 {
            if let Some(status) = self.status().await? {
                return Ok(status);
            }
            if !self.is_locked() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let text = std::fs::read(&launch.log).unwrap_or_default();
        let start = usize::try_from(before).unwrap_or_default().min(text.len());
        let text = String::from_utf8_lossy(&text[start..]).into_owned();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        let said = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        Err(EngineError::Ended { said }.into())
    }

    fn is_locked(&self) -> bool {
        File::open(self.data_dir.join("engine.lock")).is_ok_and(|file| {
            matches!(
                file.try_lock_shared(),
                Err(std::fs::TryLockError::WouldBlock)
            )
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        beacon: &Beacon,
        method: Method,
        path: &str,
    ) -> Result<T, Error> {
        let bytes = self.send(beacon, method, path).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::answer(path, error))
    }

    async fn send(&self, beacon: &Beacon, method: Method, path: &str) -> Result<Bytes, Error> {
        let answer = tokio::time::timeout(SILENCE, self.exchange(beacon, method, path)).await;
        answer.unwrap_or_else(|elapsed| {
            Err(EngineError::Socket {
                socket: beacon.socket.clone(),
                source: elapsed.into(),
            }
            .into())
        })
    }

    async fn exchange(&self, beacon: &Beacon, method: Method, path: &str) -> Result<Bytes, Error> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Socket {
            socket: beacon.socket.clone(),
            source,
        };
        let stream = match UnixStream::connect(&beacon.socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Err(EngineError::NotRunning.into());
            }
            Err(error) => return Err(broken(error.into()).into()),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.into()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "engine socket");
            }
        });
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost")
            .body(Full::<Bytes>::default())
            .map_err(|error| Error::Request(error.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(error.into()))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| broken(error.into()))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(refused(status.as_u16(), &body))
    }
}

/// Whether an engine ended a connection in the middle, rather than to be silent.
fn broke_off(error: &Error) -> bool {
    let Error::Engine(EngineError::Socket { source, .. }) = error else {
        return false;
    };
    !source.is::<tokio::time::error::Elapsed>()
}
