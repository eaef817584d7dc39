//! Launches of apps, and connections through tunnels, that came to nothing: hop by hop, for whoever
//! can help.

use std::fmt;

use db::DbError;
use db::rusqlite::{self, Connection, OptionalExtension, Row, params};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{History, HistoryError, parsed};

/// Failed launches that are kept, of all profiles together.
const KEPT: u32 = 100;
/// Older ones help nobody.
const LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Hops that are kept of one launch: how it began, and how it went on of late.
const FIRST_HOPS: usize = 10;
const LAST_HOPS: usize = 30;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE failed_launch (
        id TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        session TEXT NOT NULL,
        session_name TEXT NOT NULL,
        app TEXT NOT NULL,
        tunnel TEXT,
        local_port INTEGER,
        began_at TEXT NOT NULL,
        failed_at TEXT NOT NULL,
        hops TEXT NOT NULL
    ) STRICT;
    CREATE INDEX failed_launch_by_tunnel ON failed_launch (tunnel);
";

/// One step on the way from this computer to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// When it was over.
    pub at: Timestamp,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Which one: `local`, `network`, `login`, `manager`, `session`, `app`.
    pub hop: String,
    /// The failure's code; absent where the hop was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// What the hop said: statuses, close codes. No secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A launch that came to nothing. What follows it without a success between belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLaunch {
    /// Its id.
    pub id: String,
    /// The profile in which it was tried.
    pub profile: String,
    /// The session's id, or what the user called it where it was not found.
    pub session: String,
    /// The session's name.
    pub session_name: String,
    /// The app, or the port.
    pub app: String,
    /// The tunnel through which it was tried, where there was one.
    pub tunnel: Option<String>,
    /// That tunnel's port on this computer.
    pub local_port: Option<u16>,
    /// When it began.
    pub began_at: Timestamp,
    /// When its last hop failed.
    pub failed_at: Timestamp,
    /// What was tried, the oldest first.
    pub hops: Vec<Hop>,
}

impl fmt::Display for Hop {
    /// One line of a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            took_ms,
            hop,
            message,
            ..
        } = self;
        match &self.code {
            Some(code) => write!(
                f,
                "{at} hop {hop} failed after {took_ms} ms: {message} ({code})"
            )?,
            None => write!(f, "{at} hop {hop} done in {took_ms} ms: {message}")?,
        }
        match &self.detail {
            Some(detail) => write!(f, " [{detail}]"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for FailedLaunch {
    /// All that is known, as one text to be given to somebody who can help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "launch {} of {} in session {} ({})\nprofile {}",
            self.id, self.app, self.session_name, self.session, self.profile
        )?;
        if let (Some(tunnel), Some(port)) = (&self.tunnel, self.local_port) {
            writeln!(f, "tunnel {tunnel}, local port {port}")?;
        }
        writeln!(f, "began {}, failed {}", self.began_at, self.failed_at)?;
        for hop in &self.hops {
            writeln!(f, "{hop}")?;
        }
        Ok(())
    }
}

impl FailedLaunch {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            profile: row.get("profile")?,
            session: row.get("session")?,
            session_name: row.get("session_name")?,
            app: row.get("app")?,
            tunnel: row.get("tunnel")?,
            local_port: row.get("local_port")?,
            began_at: parsed(row.get::<_, String>("began_at")?.parse())?,
            failed_at: parsed(row.get::<_, String>("failed_at")?.parse())?,
            hops: parsed(serde_json::from_str(&row.get::<_, String>("hops")?))?,
        })
    }

    /// Puts what is known already before what is new, and forgets the middle of what is too long.
    fn after(mut self, before: Self) -> Self {
        self.began_at = before.began_at;
        let mut hops = before.hops;
        hops.append(&mut self.hops);
        if hops.len() > FIRST_HOPS + LAST_HOPS {
            hops.drain(FIRST_HOPS..hops.len() - LAST_HOPS);
        }
        Self { hops, ..self }
    }
}

impl History {
    /// Notes a failed launch; one of the same id goes on with these hops. The oldest beyond 100 are
    /// forgotten, and those of more than 30 days.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn note_failed_launch(&self, launch: FailedLaunch) -> Result<(), HistoryError> {
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            let known = "SELECT * FROM failed_launch WHERE id = ?1";
            let before = connection
                .query_row(known, [&launch.id], FailedLaunch::read)
                .optional()?;
            let launch = match before {
                Some(before) => launch.after(before),
                None => launch,
            };
            let hops = parsed(serde_json::to_string(&launch.hops))?;
            connection.execute(
                "INSERT OR REPLACE INTO failed_launch
                    (id, profile, session, session_name, app, tunnel, local_port, began_at,
                     failed_at, hops)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    launch.id,
                    launch.profile,
                    launch.session,
                    launch.session_name,
                    launch.app,
                    launch.tunnel,
                    launch.local_port,
                    launch.began_at.to_string(),
                    launch.failed_at.to_string(),
                    hops
                ],
            )?;
            prune(connection, launch.failed_at)
        };
        Ok(self.db.write(write).await?)
    }

    /// All failed launches, the newest first.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn failed_launches(&self) -> Result<Vec<FailedLaunch>, HistoryError> {
        let sql = "SELECT * FROM failed_launch
             ORDER BY unixepoch(failed_at, 'subsec') DESC, id DESC";
        self.failed(sql, None).await
    }

    /// Those through a tunnel, the oldest first.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn failed_launches_through(
        &self,
        tunnel: &str,
    ) -> Result<Vec<FailedLaunch>, HistoryError> {
        let sql = "SELECT * FROM failed_launch WHERE tunnel = ?1 ORDER BY began_at, id";
        self.failed(sql, Some(tunnel)).await
    }

    /// One failed launch; `None`: there is none of this id, or no more.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn failed_launch(&self, id: &str) -> Result<Option<FailedLaunch>, HistoryError> {
        let sql = "SELECT * FROM failed_launch WHERE id = ?1";
        Ok(self.failed(sql, Some(id)).await?.pop())
    }

    /// Forgets all failed launches. Returns how many.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn forget_failed_launches(&self) -> Result<usize, HistoryError> {
        let write = |connection: &rusqlite::Transaction<'_>| -> Result<usize, DbError> {
            Ok(connection.execute("DELETE FROM failed_launch", [])?)
        };
        Ok(self.db.write(write).await?)
    }

    async fn failed(
        &self,
        sql: &'static str,
        wanted: Option<&str>,
    ) -> Result<Vec<FailedLaunch>, HistoryError> {
        let wanted = wanted.map(str::to_owned);
        let read = move |connection: &Connection| -> Result<Vec<FailedLaunch>, DbError> {
            let mut query = connection.prepare_cached(sql)?;
            let found = query.query_map(rusqlite::params_from_iter(wanted), FailedLaunch::read)?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        Ok(self.db.read(read).await?)
    }
}

/// Times are compared as numbers: their texts have more digits or fewer.
fn prune(connection: &rusqlite::Transaction<'_>, now: Timestamp) -> Result<(), DbError> {
    connection.execute(
        "DELETE FROM failed_launch WHERE id IN (
            SELECT id FROM failed_launch ORDER BY unixepoch(failed_at, 'subsec') DESC, id DESC
            LIMIT -1 OFFSET ?1)
         OR unixepoch(failed_at) < ?2",
        params![KEPT, (now - LIFE).as_second()],
    )?;
    Ok(())
}
