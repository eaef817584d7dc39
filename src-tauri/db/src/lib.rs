//! Opens SQLite, migrates it and keeps one writer.
//!
//! Hidden here: the pragmas (WAL, foreign keys, durability), the migration rule (`user_version`
//! counts applied steps; a file written by a newer program is refused, never downgraded), the
//! writer thread that serialises every change, and the space that it sets aside for the day when
//! the disk is full. Callers bring SQL and closures, nothing else.

mod migrate;
mod reserve;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use migrate::Migration;
pub use rusqlite;
pub use writer::Database;

/// How hard a commit is pushed to the disk (`PRAGMA synchronous`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives a crash of the process, and most power cuts. For caches.
    Normal,
    /// A commit survives a power cut. For acknowledged state.
    Full,
}

/// Why a database could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The folder or the file could not be made private to its owner.
    #[error("can't prepare the database file {path}")]
    Prepare {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file was written by a newer version of the program.
    #[error("{path} was written by a newer version (format {found}, this version knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format number in the file.
        found: u32,
        /// The newest format number that this program knows.
        known: u32,
    },
    /// SQLite refused.
    #[error("the database refused")]
    Sqlite(#[from] rusqlite::Error),
    /// The writer thread has ended; the process is shutting down.
    #[error("the database is closed")]
    Closed,
}

/// Opens one connection with the house pragmas, without migrating.
///
/// The file is created with mode 0600 in a folder with mode 0700 when they don't exist.
pub fn connect(path: &Path, durability: Durability) -> Result<Connection, DbError> {
    prepare(path).map_err(|source| DbError::Prepare {
        path: path.to_owned(),
        source,
    })?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let synchronous = match durability {
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

#[cfg(unix)]
fn prepare(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    // Never opens a file that is there: to close it again would drop the locks that connections of
    // this process hold on it, and the next process to close its own would take the log away.
    let made = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

#[cfg(not(unix))]
fn prepare(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The file that the other process opens.
    const FILE: &str = "GANGWAY_TEST_DATABASE";

    /// Not a test of its own: the other process of the one below.
    #[test]
    fn reads_and_closes() {
        let Some(path) = std::env::var_os(FILE) else {
            return;
        };
        let connection = connect(Path::new(&path), Durability::Full).unwrap();
        let count = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        let found = connection.query_row("SELECT count(*) FROM t", [], count);
        assert_eq!(found, Ok(1));
    }

    #[test]
    fn another_process_that_closes_takes_no_log_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared.db");
        let first = connect(&path, Durability::Full).unwrap();
        first
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            .unwrap();
        let second = connect(&path, Durability::Full).unwrap();
        let other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::reads_and_closes"])
            .env(FILE, &path)
            .output()
            .unwrap();
        assert!(other.status.success(), "{other:?}");
        assert!(
            folder.path().join("shared.db-wal").exists(),
            "the log went while two connections use it"
        );
        first.execute("INSERT INTO t VALUES (2)", []).unwrap();
        drop((first, second));
        let after = connect(&path, Durability::Full).unwrap();
        let count = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        let found = after.query_row("SELECT count(*) FROM t", [], count);
        assert_eq!(found, Ok(2));
    }
}
