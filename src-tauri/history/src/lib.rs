//! The local cache: recent launches, last seen lists, tunnels to bring back, failed launches of
//! apps.
//!
//! Nothing here is the truth: the manager has that. Losing the file loses convenience. Any program
//! of the user may open it; SQLite keeps them apart.

mod failed_launch;
mod launch;
mod lease;
mod seen;
mod tunnel;

use std::path::Path;

use db::{Database, DbError, Durability, Migration};

pub use failed_launch::{FailedLaunch, Hop};
pub use launch::{Launch, NewLaunch};
pub use lease::Lease;
pub use seen::Seen;
pub use tunnel::StoredTunnel;

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "launches",
        sql: launch::SCHEMA,
    },
    Migration {
        name: "last seen lists",
        sql: seen::SCHEMA,
    },
    Migration {
        name: "stored tunnels",
        sql: tunnel::SCHEMA,
    },
    Migration {
        name: "failed launches of apps",
        sql: failed_launch::SCHEMA,
    },
];

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no such launch.
    #[error("there is no launch {0} in the history")]
    Unknown(String),
    /// The database failed.
    #[error("the history can't be read or written")]
    Db(#[from] DbError),
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct History {
    db: Database,
}

impl History {
    /// Opens the file at `path`, which is made when it is missing.
    ///
    /// # Errors
    /// [`HistoryError::Db`].
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        Ok(Self {
            db: Database::open(path, Durability::Normal, MIGRATIONS)?,
        })
    }
}

/// Turns what SQLite holds into a Rust value, with an error that SQLite's own functions may
/// return.
fn parsed<T, E>(result: Result<T, E>) -> db::rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| {
        db::rusqlite::Error::FromSqlConversionFailure(
            0,
            db::rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}
