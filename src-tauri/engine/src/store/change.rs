//! A change of some columns of one row, put together from what a request names.

use db::rusqlite::types::ToSql;
use db::rusqlite::{Connection, Result, params_from_iter};

/// A value that can go to the writer's thread.
pub(crate) type Value = Box<dyn ToSql + Send>;

/// Columns and their new values. Names are the program's own, never a request's.
#[derive(Default)]
pub(crate) struct Change(Vec<(&'static str, Value)>);

impl Change {
    /// Sets a column.
    pub(crate) fn set(&mut self, column: &'static str, value: impl ToSql + Send + 'static) {
        self.0.push((column, Box::new(value)));
    }

    /// Whether nothing would change.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a row of `table`; columns that are not set have the table's defaults.
    pub(crate) fn insert(&self, db: &Connection, table: &'static str) -> Result<()> {
        let columns: Vec<_> = self.0.iter().map(|(column, _)| *column).collect();
        let places: Vec<_> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            columns.join(", "),
            places.join(", ")
        );
        db.execute(
            &sql,
            params_from_iter(self.0.iter().map(|(_, value)| value)),
        )?;
        Ok(())
    }

    /// Changes the row of `table` whose column `key` is `value`; answers whether there is one.
    pub(crate) fn update(
        &self,
        db: &Connection,
        table: &'static str,
        key: &'static str,
        value: &str,
    ) -> Result<bool> {
        if self.is_empty() {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {key} = ?1)");
            return db.query_row(&sql, [value], |row| row.get(0));
        }
        let sets: Vec<_> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, (column, _))| format!("{column} = ?{}", index + 1))
            .collect();
        let sql = format!(
            "UPDATE {table} SET {} WHERE {key} = ?{}",
            sets.join(", "),
            self.0.len() + 1
        );
        let wanted: Value = Box::new(value.to_owned());
        let values = self.0.iter().map(|(_, value)| value);
        Ok(db.execute(&sql, params_from_iter(values.chain([&wanted])))? > 0)
    }
}

/// Removes the row of `table` whose column `key` is `value`; answers whether there was one.
pub(crate) fn remove(
    db: &Connection,
    table: &'static str,
    key: &'static str,
    value: &str,
) -> Result<bool> {
    Ok(db.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [value])? > 0)
}
