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

/// Statements that a connection keeps prepared: all that are asked often, so that none pushes out
/// another that comes next.
const STATEMENTS: usize = 128;

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
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Without it another process that closes its connection believes to be the last one, and takes
    /// the log away that this one still writes to.
    #[test]
    fn the_lock_of_a_connection_outlives_the_making_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared.db");
        let first = connect(&path, Durability::Full).unwrap();
        first.execute_batch("CREATE TABLE t (a)").unwrap();
        let second = connect(&path, Durability::Full).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        let is_ours = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.get(4) == Some(&std::process::id().to_string().as_str())
                && fields
                    .get(5)
                    .is_some_and(|file| file.ends_with(&format!(":{inode}")))
        };
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        assert!(locks.lines().any(|line| is_ours(&line)), "{locks}");
        drop((first, second));
    }
}
