//! One thread owns the connection that writes; readers open their own, many at a time.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, LazyLock, Mutex};

use rusqlite::{Connection, Transaction};
use tokio::sync::{Semaphore, oneshot};

use crate::migrate::migrate;
use crate::reserve::Reserve;
use crate::{DbError, Durability, Migration, connect};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How many look at the same time: twice as many as there are cores, since some wait for the disk.
/// Whoever comes while all do waits for one of them, which takes less than to open another
/// connection and to read its pages anew.
static READERS: LazyLock<usize> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (2 * cores).clamp(4, 16)
});

/// A migrated database: changes go through [`Database::write`], one after another; looks go
/// through [`Database::read`], side by side. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    durability: Durability,
    jobs: mpsc::Sender<Job>,
    /// Connections that wait for their next turn.
    readers: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    generation: AtomicU64,
}

impl Database {
    /// Opens and migrates the file at `path`, then starts its writer thread.
    pub fn open(path: &Path, durability: Durability, steps: &[Migration]) -> Result<Self, DbError> {
        let mut connection = connect(path, durability)?;
        migrate(&mut connection, path, steps)?;
        let (jobs, queue) = mpsc::channel::<Job>();
        // Caches can be lost; what was acknowledged must stay changeable.
        let reserve = (durability == Durability::Full).then(|| Reserve::beside(path));
        std::thread::Builder::new()
            .name("db-writer".into())
            .spawn(move || {
                for job in queue {
                    if let Some(reserve) = &reserve {
                        reserve.adjust();
                    }
                    job(&mut connection);
                }
            })
            .map_err(|source| DbError::Prepare {
                path: path.to_owned(),
                source,
            })?;
        let shared = Shared {
            path: path.to_owned(),
            durability,
            jobs,
            readers: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(*READERS)),
            generation: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Runs `change` in one immediate transaction. It is committed before this returns `Ok`, and
    /// undone when `change` fails. A caller that goes away does not stop the change.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::downgrade(&self.shared);
        let job: Job = Box::new(move |connection| {
            let result = in_transaction(connection, change);
            if let Some(shared) = shared.upgrade() {
                shared.generation.fetch_add(1, Ordering::AcqRel);
            }
            // The caller may have gone away: what it asked for is done all the same.
            let _ = answer.send(result);
        });
        if self.shared.jobs.send(job).is_err() {
            return Err(DbError::Closed.into());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(DbError::Closed.into()))
    }

    /// A number that is another one after each change through this handle or a clone of it, before
    /// [`Database::write`] returns. What was read while it was `n` holds as long as it is `n`;
    /// changes by other processes don't count.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Runs `look` on a connection of its own, on the blocking pool. All that it reads is of the
    /// same moment.
    pub async fn read<T, E>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let Ok(turn) = Arc::clone(&shared.turns).acquire_owned().await else {
            return Err(DbError::Closed.into());
        };
        let task = tokio::task::spawn_blocking(move || {
            let connection = shared.reader()?;
            let result = at_one_moment(&connection, look);
            // One that could not end its transaction is none for the next.
            if connection.is_autocommit() {
                shared.give_back(connection);
            }
            drop(turn);
            result
        });
        task.await.unwrap_or_else(|_| Err(DbError::Closed.into()))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

impl Shared {
    fn reader(&self) -> Result<Connection, DbError> {
        let idle = self
            .readers
            .lock()
            .ok()
            .and_then(|mut readers| readers.pop());
        match idle {
            Some(connection) => Ok(connection),
            None => connect(&self.path, self.durability),
        }
    }

    fn give_back(&self, connection: Connection) {
        if let Ok(mut readers) = self.readers.lock()
            && readers.len() < *READERS
        {
            readers.push(connection);
        }
    }
}

fn at_one_moment<T, E: From<DbError>>(
    connection: &Connection,
    look: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    // Prepared once: to read these words anew takes longer than many a look.
    let say = |word: &str| connection.prepare_cached(word)?.execute([]);
    say("BEGIN DEFERRED").map_err(DbError::from)?;
    let result = look(connection);
    // There is nothing to commit.
    say("ROLLBACK").map_err(DbError::from)?;
    result
}

fn in_transaction<T, E: From<DbError>>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(DbError::from)?;
    let value = change(&transaction)?;
    transaction.commit().map_err(DbError::from)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Migration = Migration {
        name: "t",
        sql: "CREATE TABLE t (x INTEGER UNIQUE)",
    };

    async fn count(database: &Database) -> i64 {
        database
            .read(|connection| -> Result<i64, DbError> {
                Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_failed_change_is_undone_whole() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(&folder.path().join("a/b.db"), Durability::Full, &[SCHEMA]).unwrap();
        let failed = database
            .write(|transaction| -> Result<(), DbError> {
                transaction.execute("INSERT INTO t VALUES (1)", [])?;
                transaction.execute("INSERT INTO t VALUES (1)", [])?;
                Ok(())
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(count(&database).await, 0);
    }

    #[tokio::test]
    async fn changes_from_many_tasks_all_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(&folder.path().join("b.db"), Durability::Normal, &[SCHEMA]).unwrap();
        let tasks = (0..50).map(|x| {
            let database = database.clone();
            tokio::spawn(async move {
                database
                    .write(move |transaction| -> Result<(), DbError> {
                        transaction.execute("INSERT INTO t VALUES (?1)", [x])?;
                        Ok(())
                    })
                    .await
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        assert_eq!(count(&database).await, 50);
    }

    #[tokio::test]
    async fn a_change_is_seen_in_the_generation() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(&folder.path().join("d.db"), Durability::Normal, &[SCHEMA]).unwrap();
        let before = database.generation();
        assert_eq!(count(&database).await, 0);
        assert_eq!(database.generation(), before);
        database
            .write(|transaction| -> Result<(), DbError> {
                transaction.execute("INSERT INTO t VALUES (1)", [])?;
                Ok(())
            })
            .await
            .unwrap();
        assert_ne!(database.generation(), before);
    }

    #[tokio::test]
    async fn a_look_sees_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.db");
        let database = Database::open(&path, Durability::Normal, &[SCHEMA]).unwrap();
        let counts = database
            .read(move |connection| -> Result<_, DbError> {
                let count = || -> Result<i64, DbError> {
                    Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
                };
                let before = count()?;
                connect(&path, Durability::Normal)?.execute("INSERT INTO t VALUES (1)", [])?;
                Ok((before, count()?))
            })
            .await
            .unwrap();
        assert_eq!(counts, (0, 0));
        assert_eq!(count(&database).await, 1);
    }

    #[tokio::test]
    async fn more_looks_than_connections_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(&folder.path().join("f.db"), Durability::Normal, &[SCHEMA]).unwrap();
        let running = Arc::new(AtomicU64::new(0));
        let looks = (0..*READERS * 3).map(|_| {
            let (database, running) = (database.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let look = move |connection: &Connection| -> Result<u64, DbError> {
                    let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                    connection
                        .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(at_once)
                };
                database.read(look).await
            })
        });
        for look in looks.collect::<Vec<_>>() {
            assert!(look.await.unwrap().unwrap() <= *READERS as u64);
        }
        let idle = database.shared.readers.lock().unwrap().len();
        assert!(idle <= *READERS, "{idle}");
        assert_eq!(database.shared.turns.available_permits(), *READERS);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/c.db");
        let _database = Database::open(&path, Durability::Full, &[SCHEMA]).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
