//! Tunnels to be opened again when the program starts again.

use db::DbError;
use db::rusqlite::{self, Connection, params};

use crate::{History, HistoryError, Lease, parsed};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE tunnel (
        id TEXT PRIMARY KEY,
        request TEXT NOT NULL,
        keep INTEGER NOT NULL,
        lease TEXT
    ) STRICT;
";

/// A stored tunnel.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTunnel {
    /// Its id while it was open.
    pub id: String,
    /// What to open.
    pub request: serde_json::Value,
    /// The user wants it back each time; otherwise it is only handed from one process to the next.
    pub keep: bool,
}

impl History {
    /// Stores a tunnel that is open in the process of `lease`; without one it is for whoever
    /// comes next, even while this process is still on its way out.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn store_tunnel(
        &self,
        tunnel: StoredTunnel,
        lease: Option<&Lease>,
    ) -> Result<(), HistoryError> {
        let lease = lease.map(Lease::to_string);
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            connection.execute(
                "INSERT INTO tunnel (id, request, keep, lease) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET request = ?2, keep = ?3, lease = ?4",
                params![tunnel.id, tunnel.request.to_string(), tunnel.keep, lease],
            )?;
            Ok(())
        };
        Ok(self.db.write(write).await?)
    }

    /// Forgets a tunnel; an unknown one is forgotten already.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn drop_tunnel(&self, id: &str) -> Result<(), HistoryError> {
        let id = id.to_owned();
        let write = move |connection: &rusqlite::Transaction<'_>| -> Result<(), DbError> {
            connection.execute("DELETE FROM tunnel WHERE id = ?1", [id])?;
            Ok(())
        };
        Ok(self.db.write(write).await?)
    }

    /// Whether any tunnel is stored, whoever has it open.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn any_tunnel(&self) -> Result<bool, HistoryError> {
        let read = |connection: &Connection| -> Result<_, DbError> {
            let any = "SELECT EXISTS (SELECT 1 FROM tunnel)";
            Ok(connection.query_row(any, [], |row| row.get(0))?)
        };
        Ok(self.db.read(read).await?)
    }

    /// All stored tunnels, for a process that opens them now, stores them with its own lease or
    /// drops them. Those of a process that is still alive are left out.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub async fn tunnels_to_restore(&self) -> Result<Vec<StoredTunnel>, HistoryError> {
        let read = |connection: &Connection| -> Result<_, DbError> {
            let mut query =
                connection.prepare("SELECT id, request, keep, lease FROM tunnel ORDER BY id")?;
            let rows = query.query_map([], |row| {
                let tunnel = StoredTunnel {
                    id: row.get("id")?,
                    request: parsed(serde_json::from_str(&row.get::<_, String>("request")?))?,
                    keep: row.get("keep")?,
                };
                Ok((tunnel, row.get::<_, Option<String>>("lease")?))
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        let mut free = Vec::new();
        for (tunnel, lease) in self.db.read(read).await? {
            let held = lease
                .and_then(|lease| lease.parse::<Lease>().ok())
                .is_some_and(|lease| lease.is_alive() && !lease.is_mine());
            if !held {
                free.push(tunnel);
            }
        }
        Ok(free)
    }
}
