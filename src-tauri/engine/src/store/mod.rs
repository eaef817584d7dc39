//! The engine's tables, one file per noun. SQL lives here and nowhere else.
//!
//! Functions take a connection (a transaction is one too), so that `app` decides what is one
//! transaction: `app.store.write(|tx| store::session::insert(tx, &row))`.

pub(crate) mod access;
pub(crate) mod change;
pub(crate) mod config;
pub(crate) mod domain;
pub(crate) mod dotfile;
pub(crate) mod error_log;
pub(crate) mod fair_share;
pub(crate) mod folder;
pub(crate) mod folder_sharing;
pub(crate) mod idle;
pub(crate) mod image;
pub(crate) mod image_state;
pub(crate) mod kernel;
pub(crate) mod kernel_run;
pub(crate) mod keypair;
pub(crate) mod notice;
pub(crate) mod policy;
pub(crate) mod preset;
pub(crate) mod project;
pub(crate) mod registry;
pub(crate) mod resource_group;
pub(crate) mod scheduling_history;
pub(crate) mod session;
pub(crate) mod session_list;
pub(crate) mod setting;
pub(crate) mod user;

use db::Migration;
use db::rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;

/// Never edit a released step: add the next.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "core",
        sql: include_str!("migrations/0001_core.sql"),
    },
    Migration {
        name: "folder",
        sql: include_str!("migrations/0002_folder.sql"),
    },
    Migration {
        name: "image",
        sql: include_str!("migrations/0003_image.sql"),
    },
    Migration {
        name: "preset",
        sql: include_str!("migrations/0004_preset.sql"),
    },
    Migration {
        name: "session-environments",
        sql: include_str!("migrations/0005_session_environments.sql"),
    },
    Migration {
        name: "administration",
        sql: include_str!("migrations/0006_administration.sql"),
    },
    Migration {
        name: "session-life",
        sql: include_str!("migrations/0007_session_life.sql"),
    },
    Migration {
        name: "image-content",
        sql: include_str!("migrations/0008_image_content.sql"),
    },
    Migration {
        name: "gpu",
        sql: include_str!("migrations/0009_gpu.sql"),
    },
    Migration {
        name: "kernel-end",
        sql: include_str!("migrations/0010_kernel_end.sql"),
    },
    Migration {
        name: "preemption",
        sql: include_str!("migrations/0011_preemption.sql"),
    },
    Migration {
        name: "password-age",
        sql: include_str!("migrations/0012_password_age.sql"),
    },
    Migration {
        name: "quota-scope",
        sql: include_str!("migrations/0013_quota_scope.sql"),
    },
    Migration {
        name: "scheduling-history",
        sql: include_str!("migrations/0014_scheduling_history.sql"),
    },
    Migration {
        name: "session-lists",
        sql: include_str!("migrations/0015_session_lists.sql"),
    },
    Migration {
        name: "kernel-run",
        sql: include_str!("migrations/0016_kernel_run.sql"),
    },
    Migration {
        name: "error-log",
        sql: include_str!("migrations/0017_error_log.sql"),
    },
];

const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A moment as the tables keep it: microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) Timestamp);

impl At {
    pub(crate) fn now() -> Self {
        Self(Timestamp::now())
    }

    /// ISO 8601 as the manager writes it: microseconds and a numeric offset.
    pub(crate) fn iso(self) -> String {
        MICROSECONDS.timestamp_with_offset_to_string(&self.0, Offset::UTC)
    }
}

impl ToSql for At {
    fn to_sql(&self) -> db::rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A value that the tables keep as its JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: serde::Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> db::rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(&self.0)
            .map(Into::into)
            .map_err(|error| db::rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl<T: serde::de::DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// An id as its hyphenated text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) uuid::Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> db::rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.hyphenated().to_string().into())
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        uuid::Uuid::parse_str(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A word of the protocol, as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<T: std::fmt::Display> ToSql for Word<T> {
    fn to_sql(&self) -> db::rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl<T> FromSql for Word<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map(Self)
            .map_err(FromSqlError::other)
    }
}
