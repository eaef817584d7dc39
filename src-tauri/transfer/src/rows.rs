//! The queue on disk.

use std::path::Path;

use db::rusqlite::{self, Connection, params, types::Type};
use db::{Database, DbError, Durability, Migration};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::item::{Conflict, Failure, Location, Overwrite, State};
use crate::progress::Figures;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "transfers and their unfinished files",
    sql: "
        CREATE TABLE transfer (
            id TEXT PRIMARY KEY,
            profile TEXT NOT NULL,
            src TEXT NOT NULL,
            dst TEXT NOT NULL,
            placed INTEGER NOT NULL,
            overwrite TEXT NOT NULL,
            checksum INTEGER NOT NULL,
            limit_bps INTEGER,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            total INTEGER,
            files INTEGER NOT NULL,
            files_total INTEGER,
            skipped INTEGER NOT NULL,
            seconds REAL NOT NULL,
            sha256 TEXT,
            failure TEXT,
            conflict TEXT,
            created_at TEXT NOT NULL,
            finished_at TEXT,
            holder TEXT
        ) STRICT;
        CREATE TABLE part (
            transfer TEXT NOT NULL REFERENCES transfer (id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            part TEXT NOT NULL,
            arrived INTEGER NOT NULL,
            size INTEGER NOT NULL,
            modified TEXT,
            boot TEXT NOT NULL,
            PRIMARY KEY (transfer, path)
        ) STRICT, WITHOUT ROWID;
    ",
}];

/// A transfer as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) src: Location,
    pub(crate) dst: Location,
    /// `dst` is the final path: "into this folder" was worked out once, and must not be again.
    pub(crate) placed: bool,
    pub(crate) overwrite: Overwrite,
    pub(crate) checksum: bool,
    pub(crate) limit_bps: Option<u64>,
    pub(crate) state: State,
    /// How often it was taken up.
    pub(crate) attempts: u32,
    pub(crate) figures: Figures,
    pub(crate) sha256: Option<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) conflict: Option<Conflict>,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
}

/// A file that is not whole yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it will be called.
    pub(crate) path: String,
    /// What it is called now.
    pub(crate) part: String,
    /// Bytes that have arrived for sure.
    pub(crate) arrived: u64,
    /// Length of the source when it was begun.
    pub(crate) size: u64,
    /// Time of change of the source when it was begun.
    pub(crate) modified: Option<Timestamp>,
    /// The start of this computer in which it was written: what the disk kept of an earlier one
    /// is not known.
    pub(crate) boot: String,
}

pub(crate) fn open(path: &Path) -> Result<Database, DbError> {
    Database::open(path, Durability::Normal, MIGRATIONS)
}

pub(crate) fn load(connection: &Connection) -> Result<Vec<Row>, DbError> {
    let mut query = connection.prepare("SELECT * FROM transfer ORDER BY id")?;
    let rows = query.query_map([], read_row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get("id")?,
        profile: row.get("profile")?,
        src: json(row, "src")?,
        dst: json(row, "dst")?,
        placed: row.get("placed")?,
        overwrite: json(row, "overwrite")?,
        checksum: row.get("checksum")?,
        limit_bps: number(row, "limit_bps")?,
        state: json(row, "state")?,
        attempts: row.get("attempts")?,
        figures: Figures {
            bytes: number(row, "bytes")?.unwrap_or(0),
            total: number(row, "total")?,
            files: number(row, "files")?.unwrap_or(0),
            files_total: number(row, "files_total")?,
            skipped: number(row, "skipped")?.unwrap_or(0),
            speed: None,
            eta_s: None,
            seconds: row.get("seconds")?,
        },
        sha256: row.get("sha256")?,
        failure: optional_json(row, "failure")?,
        conflict: optional_json(row, "conflict")?,
        created_at: time(row, "created_at")?.unwrap_or(Timestamp::UNIX_EPOCH),
        finished_at: time(row, "finished_at")?,
    })
}

pub(crate) fn save(connection: &Connection, row: &Row, holder: &str) -> Result<(), DbError> {
    connection
        .prepare_cached(
            "INSERT INTO transfer (id, profile, src, dst, placed, overwrite, checksum, limit_bps,
                state, attempts, bytes, total, files, files_total, skipped, seconds, sha256,
                failure, conflict, created_at, finished_at, holder)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18, ?19, ?20, ?21, ?22)
             ON CONFLICT (id) DO UPDATE SET dst = ?4, placed = ?5, overwrite = ?6, limit_bps = ?8,
                state = ?9, attempts = ?10, bytes = ?11, total = ?12, files = ?13,
                files_total = ?14, skipped = ?15, seconds = ?16, sha256 = ?17, failure = ?18,
                conflict = ?19, finished_at = ?21, holder = ?22",
        )?
        .execute(params![
            row.id,
            row.profile,
            text(&row.src)?,
            text(&row.dst)?,
            row.placed,
            text(&row.overwrite)?,
            row.checksum,
            row.limit_bps.map(signed),
            text(&row.state)?,
            row.attempts,
            signed(row.figures.bytes),
            row.figures.total.map(signed),
            signed(row.figures.files),
            row.figures.files_total.map(signed),
            signed(row.figures.skipped),
            row.figures.seconds,
            row.sha256,
            row.failure.as_ref().map(text).transpose()?,
            row.conflict.as_ref().map(text).transpose()?,
            row.created_at.to_string(),
            row.finished_at.map(|time| time.to_string()),
            holder,
        ])?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, id: &str) -> Result<(), DbError> {
    connection
        .prepare_cached("DELETE FROM transfer WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

pub(crate) fn load_parts(connection: &Connection, id: &str) -> Result<Vec<Part>, DbError> {
    let mut query = connection.prepare_cached(
        "SELECT path, part, arrived, size, modified, boot FROM part WHERE transfer = ?1",
    )?;
    let parts = query.query_map([id], |row| {
        Ok(Part {
            path: row.get("path")?,
            part: row.get("part")?,
            arrived: number(row, "arrived")?.unwrap_or(0),
            size: number(row, "size")?.unwrap_or(0),
            modified: time(row, "modified")?,
            boot: row.get("boot")?,
        })
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Replaces what is known of a transfer's unfinished files.
pub(crate) fn save_parts(connection: &Connection, id: &str, parts: &[Part]) -> Result<(), DbError> {
    connection
        .prepare_cached("DELETE FROM part WHERE transfer = ?1")?
        .execute([id])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO part (transfer, path, part, arrived, size, modified, boot)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for part in parts {
        let modified = part.modified.map(|time| time.to_string());
        let (arrived, size) = (signed(part.arrived), signed(part.size));
        insert.execute(params![
            id, part.path, part.part, arrived, size, modified, part.boot
        ])?;
    }
    Ok(())
}

/// SQLite counts with a sign; 8 EiB are enough.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

fn text(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into())
}

fn json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(unreadable)
}

fn optional_json<T: DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(unreadable))
        .transpose()
}

fn time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(unreadable))
        .transpose()
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
