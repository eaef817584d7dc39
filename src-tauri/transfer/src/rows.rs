//! The queue on disk.

use std::path::Path;

use db::rusqlite::{self, Connection, params, types::Type};
use db::{Database, DbError, Durability, Migration};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::item::{Conflict, Failure, Links, Location, OnFinish, Overwrite, State};
use crate::moved::What;
use crate::progress::Figures;
use crate::store::Ticket;

const MIGRATIONS: &[Migration] = &[FIRST, ORDER_LINKS_AND_TICKETS, MOVES];

const FIRST: Migration = Migration {
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
};

const ORDER_LINKS_AND_TICKETS: Migration = Migration {
    name: "order of transfers, links, other addresses, tickets of unfinished files",
    sql: "
        ALTER TABLE transfer ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
        UPDATE transfer SET position =
            (SELECT count(*) FROM transfer AS other WHERE other.id < transfer.id);
        ALTER TABLE transfer ADD COLUMN links TEXT NOT NULL DEFAULT '\"keep\"';
        ALTER TABLE transfer ADD COLUMN src_else TEXT;
        ALTER TABLE transfer ADD COLUMN dst_else TEXT;
        ALTER TABLE part ADD COLUMN ticket TEXT;
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    ",
};

const MOVES: Migration = Migration {
    name: "transfers that remove their source, and what they have copied of it",
    sql: "
        ALTER TABLE transfer ADD COLUMN remove_source INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE transfer ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE transfer ADD COLUMN source_left INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE moved (
            transfer TEXT NOT NULL REFERENCES transfer (id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            what TEXT NOT NULL,
            PRIMARY KEY (transfer, path)
        ) STRICT, WITHOUT ROWID;
    ",
};

/// A transfer as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) src: Location,
    pub(crate) dst: Location,
    /// `dst` is the final path: "into this folder" was worked out once, and must not be again.
    pub(crate) placed: bool,
    /// Where source and destination can be reached when their session has ended.
    pub(crate) src_else: Option<Location>,
    pub(crate) dst_else: Option<Location>,
    /// Lower ones are begun first.
    pub(crate) position: u32,
    pub(crate) overwrite: Overwrite,
    pub(crate) links: Links,
    pub(crate) checksum: bool,
    pub(crate) limit_bps: Option<u64>,
    /// The source is removed once all is copied.
    pub(crate) remove_source: bool,
    /// All is copied, and what is left to do is to remove the source.
    pub(crate) copied: bool,
    /// Entries that stay at the source.
    pub(crate) source_left: u64,
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
    /// What its sink gave us to go on with it.
    pub(crate) ticket: Option<Ticket>,
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
        src_else: optional_json(row, "src_else")?,
        dst_else: optional_json(row, "dst_else")?,
        position: row.get("position")?,
        overwrite: json(row, "overwrite")?,
        links: json(row, "links")?,
        checksum: row.get("checksum")?,
        limit_bps: number(row, "limit_bps")?,
        remove_source: row.get("remove_source")?,
        copied: row.get("copied")?,
        source_left: number(row, "source_left")?.unwrap_or(0),
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
                failure, conflict, created_at, finished_at, holder, src_else, dst_else, position,
                links, remove_source, copied, source_left)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,
                ?28, ?29)
             ON CONFLICT (id) DO UPDATE SET src = ?3, dst = ?4, placed = ?5, overwrite = ?6, limit_bps = ?8,
                state = ?9, attempts = ?10, bytes = ?11, total = ?12, files = ?13,
                files_total = ?14, skipped = ?15, seconds = ?16, sha256 = ?17, failure = ?18,
                conflict = ?19, finished_at = ?21, holder = ?22, src_else = ?23, dst_else = ?24,
                copied = ?28, source_left = ?29",
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
            row.src_else.as_ref().map(text).transpose()?,
            row.dst_else.as_ref().map(text).transpose()?,
            row.position,
            text(&row.links)?,
            row.remove_source,
            row.copied,
            signed(row.source_left),
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
        "SELECT path, part, arrived, size, modified, boot, ticket FROM part WHERE transfer = ?1",
    )?;
    let parts = query.query_map([id], |row| {
        Ok(Part {
            path: row.get("path")?,
            part: row.get("part")?,
            arrived: number(row, "arrived")?.unwrap_or(0),
            size: number(row, "size")?.unwrap_or(0),
            modified: time(row, "modified")?,
            boot: row.get("boot")?,
            ticket: row.get::<_, Option<String>>("ticket")?.map(Ticket),
        })
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Replaces what is known of a transfer's unfinished files.
pub(crate) fn save_parts(connection: &Connection, id: &str, parts: &[Part]) -> Result<(), DbError> {
    connection
        .prepare_cached("DELETE FROM part WHERE transfer = ?1")?
        .execute([id])?;
    put_parts(connection, id, parts)
}

/// Notes what is new of a transfer's unfinished files, and forgets those at `gone`.
pub(crate) fn change_parts(
    connection: &Connection,
    id: &str,
    parts: &[Part],
    gone: &[String],
) -> Result<(), DbError> {
    let mut delete =
        connection.prepare_cached("DELETE FROM part WHERE transfer = ?1 AND path = ?2")?;
    for path in gone {
        delete.execute([id, path])?;
    }
    put_parts(connection, id, parts)
}

fn put_parts(connection: &Connection, id: &str, parts: &[Part]) -> Result<(), DbError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO part (transfer, path, part, arrived, size, modified, boot, ticket)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (transfer, path) DO UPDATE SET part = ?3, arrived = ?4, size = ?5,
            modified = ?6, boot = ?7, ticket = ?8",
    )?;
    for part in parts {
        let modified = part.modified.map(|time| time.to_string());
        let (arrived, size) = (signed(part.arrived), signed(part.size));
        let ticket = part.ticket.as_ref().map(|ticket| &ticket.0);
        put.execute(params![
            id, part.path, part.part, arrived, size, modified, part.boot, ticket
        ])?;
    }
    Ok(())
}

pub(crate) fn load_moved(
    connection: &Connection,
    id: &str,
) -> Result<Vec<(String, What)>, DbError> {
    let mut query =
        connection.prepare_cached("SELECT path, what FROM moved WHERE transfer = ?1")?;
    let moved = query.query_map([id], |row| Ok((row.get("path")?, json(row, "what")?)))?;
    Ok(moved.collect::<Result<_, _>>()?)
}

/// Notes what else was copied of a source that is to be removed.
pub(crate) fn save_moved(
    connection: &Connection,
    id: &str,
    moved: &[(String, What)],
) -> Result<(), DbError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO moved (transfer, path, what) VALUES (?1, ?2, ?3)
         ON CONFLICT (transfer, path) DO UPDATE SET what = ?3",
    )?;
    for (path, what) in moved {
        put.execute(params![id, path, text(what)?])?;
    }
    Ok(())
}

/// What was copied of a source matters no more.
pub(crate) fn drop_moved(connection: &Connection, id: &str) -> Result<(), DbError> {
    connection
        .prepare_cached("DELETE FROM moved WHERE transfer = ?1")?
        .execute([id])?;
    Ok(())
}

/// Writes down which transfers come first.
pub(crate) fn save_order(connection: &Connection, order: &[(String, u32)]) -> Result<(), DbError> {
    let mut set = connection.prepare_cached("UPDATE transfer SET position = ?2 WHERE id = ?1")?;
    for (id, position) in order {
        set.execute(params![id, position])?;
    }
    Ok(())
}

const LIMIT: &str = "limit_bps";
const ON_FINISH: &str = "on_finish";

/// The limit of all transfers together, in bytes per second.
pub(crate) fn load_limit(connection: &Connection) -> Result<Option<u64>, DbError> {
    // What can't be read is no limit.
    Ok(load_setting(connection, LIMIT)?.and_then(|text| text.parse().ok()))
}

pub(crate) fn save_limit(connection: &Connection, limit: Option<u64>) -> Result<(), DbError> {
    save_setting(connection, LIMIT, limit.map(|limit| limit.to_string()))
}

/// What happens at the end, and since when that is wanted.
pub(crate) fn load_on_finish(
    connection: &Connection,
) -> Result<Option<(OnFinish, Timestamp)>, DbError> {
    let text = load_setting(connection, ON_FINISH)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub(crate) fn save_on_finish(
    connection: &Connection,
    wanted: (OnFinish, Timestamp),
) -> Result<(), DbError> {
    let stored = match wanted.0 {
        OnFinish::Nothing => None,
        OnFinish::Quit => Some(text(&wanted)?),
    };
    save_setting(connection, ON_FINISH, stored)
}

fn load_setting(connection: &Connection, name: &str) -> Result<Option<String>, DbError> {
    let mut query = connection.prepare("SELECT value FROM setting WHERE name = ?1")?;
    let mut found = query.query_map([name], |row| row.get(0))?;
    Ok(found.next().transpose()?)
}

fn save_setting(connection: &Connection, name: &str, value: Option<String>) -> Result<(), DbError> {
    match value {
        None => connection.execute("DELETE FROM setting WHERE name = ?1", [name])?,
        Some(value) => connection.execute(
            "INSERT INTO setting (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = ?2",
            [name, &value],
        )?,
    };
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
