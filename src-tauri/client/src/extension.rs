//! What only our engine offers. Each call asks first whether the manager has it.

use futures_util::{Stream, StreamExt};
use protocol::api::gangway::{
    App, Install, InstallDone, InstallLine, LogPiece, Notice, Save, Saved, SshInfo, StartProgress,
    Stats, Unsaved, capability,
};

use crate::answer::events;
use crate::call::Call;
use crate::{Client, Error};

/// What a log that is followed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogNews {
    /// What was written next; the first time what is there, if only nothing.
    Text(String),
    /// The session has ended, and that was all.
    Done,
}

/// What an installation says while it runs.
#[derive(Debug, Clone)]
pub enum InstallEvent {
    /// A line of the installer.
    Line(InstallLine),
    /// Its end.
    Done(InstallDone),
}

impl Client {
    /// Host key and user of a session's SSH server.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn ssh_info(&self, session: &str) -> Result<SshInfo, Error> {
        self.require(capability::SSH_INFO).await?;
        self.json(Call::get(&["gangway", "session", session, "ssh"]))
            .await
    }

    /// The apps of a session and whether they can be opened.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn app_states(&self, session: &str) -> Result<Vec<App>, Error> {
        self.require(capability::APP_STATE).await?;
        self.json(Call::get(&["gangway", "session", session, "apps"]))
            .await
    }

    /// How far an app is that is being started, or was to no avail; nothing for any other, and from
    /// other managers.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn start_progress(
        &self,
        session: &str,
        app: &str,
    ) -> Result<Option<StartProgress>, Error> {
        if !self.has(capability::START_PROGRESS).await? {
            return Ok(None);
        }
        self.json(Call::get(&[
            "gangway", "session", session, "apps", app, "start",
        ]))
        .await
    }

    /// Files that end with a session.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn unsaved(&self, session: &str) -> Result<Unsaved, Error> {
        self.require(capability::UNSAVED).await?;
        self.json(Call::get(&["gangway", "session", session, "unsaved"]))
            .await
    }

    /// Copies those files into a data folder.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn save_home(&self, session: &str, save: &Save) -> Result<Saved, Error> {
        self.require(capability::SAVE_HOME).await?;
        self.json(
            Call::post(&["gangway", "session", session, "save"])
                .json(save)?
                .works(),
        )
        .await
    }

    /// Live use of a session.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn stats(&self, session: &str) -> Result<Stats, Error> {
        self.require(capability::LIVE_STATS).await?;
        self.json(Call::get(&["gangway", "session", session, "stats"]))
            .await
    }

    /// What the user of a session should know; nothing from other managers.
    ///
    /// # Errors
    /// When the manager refuses or can't be reached.
    pub async fn notices(&self, session: &str) -> Result<Vec<Notice>, Error> {
        if !self.has(capability::NOTICES).await? {
            return Ok(Vec::new());
        }
        self.json(Call::get(&["gangway", "session", session, "notices"]))
            .await
    }

    /// The log of a session's main kernel: its end that is kept, and then what is added to it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn follow_log(
        &self,
        session: &str,
    ) -> Result<impl Stream<Item = Result<LogNews, Error>> + Send + use<>, Error> {
        self.require(capability::LOG_STREAM).await?;
        let call = Call::get(&["gangway", "session", session, "log"]);
        let response = self.send(call).await?;
        let client = self.clone();
        Ok(events(response.bytes_stream()).filter_map(move |event| {
            let parsed = match event {
                Ok(event) => log_news(&event.event, &event.data),
                Err(error) => Some(Err(client.unreachable(error))),
            };
            std::future::ready(parsed)
        }))
    }

    /// Whether logs can be followed as they are written.
    ///
    /// # Errors
    /// When the manager can't be reached.
    pub async fn streams_logs(&self) -> Result<bool, Error> {
        self.has(capability::LOG_STREAM).await
    }

    /// Installs an app into a session and tells how it goes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the manager is not our engine.
    pub async fn install_app(
        &self,
        session: &str,
        app: &str,
    ) -> Result<impl Stream<Item = Result<InstallEvent, Error>> + Send + use<>, Error> {
        self.require(capability::APP_INSTALL).await?;
        let body = Install {
            app: app.to_owned(),
        };
        let call = Call::post(&["gangway", "session", session, "install"])
            .json(&body)?
            .works();
        let response = self.send(call).await?;
        let client = self.clone();
        Ok(events(response.bytes_stream()).filter_map(move |event| {
            let parsed = match event {
                Ok(event) => install_event(&event.event, &event.data),
                Err(error) => Some(Err(client.unreachable(error))),
            };
            std::future::ready(parsed)
        }))
    }
}

fn log_news(name: &str, data: &str) -> Option<Result<LogNews, Error>> {
    match name {
        "text" => Some(
            serde_json::from_str(data)
                .map(|LogPiece { text }| LogNews::Text(text))
                .map_err(|error| Error::answer("a log", error)),
        ),
        "done" => Some(Ok(LogNews::Done)),
        _ => None,
    }
}

fn install_event(name: &str, data: &str) -> Option<Result<InstallEvent, Error>> {
    let bad = |error| Error::answer("an installation", error);
    match name {
        "line" => Some(
            serde_json::from_str(data)
                .map(InstallEvent::Line)
                .map_err(bad),
        ),
        "done" => Some(
            serde_json::from_str(data)
                .map(InstallEvent::Done)
                .map_err(bad),
        ),
        _ => None,
    }
}
