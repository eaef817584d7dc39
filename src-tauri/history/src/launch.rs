//! Sessions that were launched, with everything needed to launch them again.

use db::DbError;
use db::rusqlite::{self, Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{History, HistoryError, parsed};

/// Launches that are kept for each profile, pinned ones left out.
const KEPT: u32 = 200;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE launch (
        id TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        name TEXT NOT NULL,
        title TEXT,
        pinned INTEGER NOT NULL DEFAULT 0,
        request TEXT NOT NULL,
        session_id TEXT,
        last_status TEXT,
        launched_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX launch_by_profile ON launch (profile, pinned, id);
    CREATE INDEX launch_by_session ON launch (session_id);
";

/// A launch to be noted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLaunch {
    /// The profile in which it was made.
    pub profile: String,
    /// The session's name.
    pub name: String,
    /// The whole request, as it can be sent again. No secrets.
    pub request: serde_json::Value,
    /// The session that came of it.
    pub session_id: Option<String>,
    /// The session's status when it was last seen.
    pub last_status: Option<String>,
}

/// A launch of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Its id.
    pub id: String,
    /// The profile in which it was made.
    pub profile: String,
    /// The session's name.
    pub name: String,
    /// The user's own name for it.
    pub title: Option<String>,
    /// It is shown first and never pruned.
    pub pinned: bool,
    /// The whole request.
    pub request: serde_json::Value,
    /// The session that came of it.
    pub session_id: Option<String>,
    /// When.
    pub launched_at: Timestamp,
    /// The session's status when it was last seen.
    pub last_status: Option<String>,
}

impl Launch {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            profile: row.get("profile")?,
            name: row.get("name")?,
            title: row.get("title")?,
            pinned: row.get("pinned")?,
            request: parsed(serde_json::from_str(&row.get::<_, String>("request")?))?,
            session_id: row.get("session_id")?,
            launched_at: parsed(row.get::<_, String>("launched_at")?.parse())?,
            last_status: row.get("last_status")?,
        })
    }
}

impl History {
    /// Notes a launch; the oldest beyond 200 of its profile are forgotten, pinned ones never.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn record(&self, launch: NewLaunch) -> Result<Launch, HistoryError> {
        let launch = Launch {
            id: uuid::Uuid::now_v7().to_string(),
            profile: launch.profile,
            name: launch.name,
            title: None,
            pinned: false,
            request: launch.request,
            session_id: launch.session_id,
            launched_at: Timestamp::now(),
            last_status: launch.last_status,
        };
        let row = launch.clone();
        self.db
            .write(move |connection| {
                connection.execute(
                    "INSERT INTO launch
                        (id, profile, name, request, session_id, last_status, launched_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        row.id,
                        row.profile,
                        row.name,
                        row.request.to_string(),
                        row.session_id,
                        row.last_status,
                        row.launched_at.to_string()
                    ],
                )?;
                connection.execute(
                    "DELETE FROM launch WHERE id IN (
                        SELECT id FROM launch WHERE profile = ?1 AND NOT pinned
                        ORDER BY id DESC LIMIT -1 OFFSET ?2)",
                    params![row.profile, KEPT],
                )?;
                Ok::<_, DbError>(())
            })
            .await?;
        Ok(launch)
    }

    /// Launches of a profile: pinned ones first, then the newest first.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn launches(&self, profile: &str) -> Result<Vec<Launch>, HistoryError> {
        let profile = profile.to_owned();
        let read = move |connection: &Connection| -> Result<Vec<Launch>, DbError> {
            let mut query = connection.prepare_cached(
                "SELECT * FROM launch WHERE profile = ?1 ORDER BY pinned DESC, id DESC",
            )?;
            let launches = query.query_map([profile], Launch::read)?;
            Ok(launches.collect::<Result<_, _>>()?)
        };
        Ok(self.db.read(read).await?)
    }

    /// One launch.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`], [`HistoryError::Db`].
    pub async fn launch(&self, id: &str) -> Result<Launch, HistoryError> {
        let wanted = id.to_owned();
        let read = move |connection: &Connection| -> Result<Option<Launch>, DbError> {
            let mut query = connection.prepare_cached("SELECT * FROM launch WHERE id = ?1")?;
            Ok(query.query_row([wanted], Launch::read).optional()?)
        };
        self.db
            .read(read)
            .await?
            .ok_or_else(|| HistoryError::Unknown(id.to_owned()))
    }

    /// Pins a launch, or loosens it.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`], [`HistoryError::Db`].
    pub async fn pin(&self, id: &str, pinned: bool) -> Result<(), HistoryError> {
        self.change(id, "UPDATE launch SET pinned = ?2 WHERE id = ?1", pinned)
            .await
    }

    /// Gives a launch a name of the user's own, or takes it away.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`], [`HistoryError::Db`].
    pub async fn rename(&self, id: &str, title: Option<String>) -> Result<(), HistoryError> {
        self.change(id, "UPDATE launch SET title = ?2 WHERE id = ?1", title)
            .await
    }

    /// Forgets a launch.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`], [`HistoryError::Db`].
    pub async fn remove(&self, id: &str) -> Result<(), HistoryError> {
        self.change(id, "DELETE FROM launch WHERE id = ?1 AND ?2", true)
            .await
    }

    /// Forgets the launches of a profile, pinned ones left out. Returns how many.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn clear(&self, profile: &str) -> Result<usize, HistoryError> {
        let profile = profile.to_owned();
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<usize, DbError> {
            let sql = "DELETE FROM launch WHERE profile = ?1 AND NOT pinned";
            Ok(connection.execute(sql, [profile])?)
        };
        Ok(self.db.write(write).await?)
    }

    /// Notes the status of the session that came of a launch. Sessions from elsewhere are passed
    /// over.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn saw_status(&self, session_id: &str, status: &str) -> Result<(), HistoryError> {
        let (session, status) = (session_id.to_owned(), status.to_owned());
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            let sql = "UPDATE launch SET last_status = ?2 WHERE session_id = ?1";
            connection.execute(sql, [session, status])?;
            Ok(())
        };
        Ok(self.db.write(write).await?)
    }

    async fn change(
        &self,
        id: &str,
        sql: &'static str,
        value: impl rusqlite::ToSql + Send + 'static,
    ) -> Result<(), HistoryError> {
        let wanted = id.to_owned();
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<usize, DbError> {
            Ok(connection.execute(sql, params![wanted, value])?)
        };
        match self.db.write(write).await? {
            0 => Err(HistoryError::Unknown(id.to_owned())),
            _ => Ok(()),
        }
    }
}
