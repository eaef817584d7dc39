//! Applies the steps that a file lacks, each in its own transaction.

use std::path::Path;

use rusqlite::Connection;

use crate::DbError;

/// One step of a schema: SQL that is run once, in order. Never edit a step that was released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// What the step is about, for the log.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// Brings `connection` to the newest step. `PRAGMA user_version` counts the steps applied.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    steps: &[Migration],
) -> Result<(), DbError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let numbered = (1u32..).zip(steps);
    let known = numbered.clone().last().map_or(0, |(number, _)| number);
    if found > known {
        return Err(DbError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (number, step) in numbered.filter(|(number, _)| *number > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step.sql)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
        tracing::info!(step = step.name, file = %path.display(), "migrated");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration {
        name: "one",
        sql: "CREATE TABLE a (x INTEGER)",
    };
    const TWO: Migration = Migration {
        name: "two",
        sql: "CREATE TABLE b (x INTEGER)",
    };
    const BROKEN: Migration = Migration {
        name: "broken",
        sql: "CREATE TABLE c (x); BOOM",
    };

    fn tables(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    }

    #[test]
    fn applies_only_what_is_missing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new("x"), &[ONE]).unwrap();
        migrate(&mut connection, Path::new("x"), &[ONE, TWO]).unwrap();
        assert_eq!(tables(&connection), ["a", "b"]);
    }

    #[test]
    fn a_failing_step_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, Path::new("x"), &[ONE, BROKEN]).is_err());
        assert_eq!(tables(&connection), ["a"]);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new("x"), &[ONE, TWO]).unwrap();
        let refused = migrate(&mut connection, Path::new("x"), &[ONE]);
        assert!(matches!(
            refused,
            Err(DbError::Newer {
                found: 2,
                known: 1,
                ..
            })
        ));
    }
}
