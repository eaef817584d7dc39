//! Lists as they were last seen, for the time when the manager can't be reached.

use db::DbError;
use db::rusqlite::{self, Connection, OptionalExtension, params};
use jiff::Timestamp;

use crate::{History, HistoryError, parsed};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE seen (
        profile TEXT NOT NULL,
        list TEXT NOT NULL,
        value TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (profile, list)
    ) STRICT, WITHOUT ROWID;
";

/// A list as it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What was seen.
    pub value: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

impl History {
    /// Keeps `value` as what `list` (as in `sessions`) showed now, in place of what it showed
    /// before. No secrets.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn remember(
        &self,
        profile: &str,
        list: &str,
        value: &serde_json::Value,
    ) -> Result<(), HistoryError> {
        let (profile, list, value) = (profile.to_owned(), list.to_owned(), value.to_string());
        let at = Timestamp::now().to_string();
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            connection
                .prepare_cached(
                    "INSERT INTO seen (profile, list, value, at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (profile, list) DO UPDATE SET value = ?3, at = ?4",
                )?
                .execute(params![profile, list, value, at])?;
            Ok(())
        };
        Ok(self.db.write(write).await?)
    }

    /// What `list` showed last.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn recall(&self, profile: &str, list: &str) -> Result<Option<Seen>, HistoryError> {
        let key = [profile.to_owned(), list.to_owned()];
        let read = move |connection: &Connection| -> Result<Option<Seen>, DbError> {
            let seen = connection
                .prepare_cached("SELECT value, at FROM seen WHERE profile = ?1 AND list = ?2")?
                .query_row(key, |row| {
                    Ok(Seen {
                        value: parsed(serde_json::from_str(&row.get::<_, String>("value")?))?,
                        at: parsed(row.get::<_, String>("at")?.parse())?,
                    })
                })
                .optional()?;
            Ok(seen)
        };
        Ok(self.db.read(read).await?)
    }

    /// Forgets all lists of a profile: at log-out, what another account saw is nobody's business.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn forget(&self, profile: &str) -> Result<(), HistoryError> {
        let profile = profile.to_owned();
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            connection.execute("DELETE FROM seen WHERE profile = ?1", [profile])?;
            Ok(())
        };
        Ok(self.db.write(write).await?)
    }
}
