//! Steps of sessions' lives, and tries that came to nothing.

use db::rusqlite::types::ToSql;
use db::rusqlite::{Connection, OptionalExtension, Result, Row};
use protocol::session::SessionStatus;
use uuid::Uuid;

use super::{At, Id, Word};

/// One step, or several tries that came to the same.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) id: Uuid,
    pub(crate) session: Uuid,
    /// What was at work: `schedule-sessions`, `start-sessions`, …
    pub(crate) phase: String,
    pub(crate) from: SessionStatus,
    /// `None` when the session stayed where it was.
    pub(crate) to: Option<SessionStatus>,
    /// `SUCCESS`, `NEED_RETRY`, `EXPIRED`, `GIVE_UP`, `SKIPPED`.
    pub(crate) result: String,
    pub(crate) error_code: Option<String>,
    pub(crate) message: String,
    pub(crate) attempts: u32,
    pub(crate) created_at: At,
    pub(crate) updated_at: At,
}

const COLUMNS: &str = "id, session, phase, from_status, to_status, result, error_code, message, \
     attempts, created_at, updated_at";

fn read(row: &Row<'_>) -> Result<Step> {
    Ok(Step {
        id: row.get::<_, Id>(0)?.0,
        session: row.get::<_, Id>(1)?.0,
        phase: row.get(2)?,
        from: row.get::<_, Word<_>>(3)?.0,
        to: row.get::<_, Option<Word<_>>>(4)?.map(|word| word.0),
        result: row.get(5)?,
        error_code: row.get(6)?,
        message: row.get(7)?,
        attempts: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// Adds a step; a try that came to the same as the last one is counted there.
pub(crate) fn add(db: &Connection, step: &Step) -> Result<()> {
    let last = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM scheduling_history WHERE session = ?1
             ORDER BY created_at DESC, id DESC LIMIT 1"
        ))?
        .query_row([Id(step.session)], read)
        .optional()?;
    let is_same = |last: &Step| {
        step.to.is_none()
            && last.to.is_none()
            && (&last.phase, &last.result, &last.error_code)
                == (&step.phase, &step.result, &step.error_code)
    };
    if let Some(last) = last.filter(is_same) {
        db.prepare_cached(
            "UPDATE scheduling_history SET attempts = attempts + 1, message = ?2, updated_at = ?3
             WHERE id = ?1",
        )?
        .execute((Id(last.id), &step.message, step.updated_at))?;
        return Ok(());
    }
    let values: [&dyn ToSql; 11] = [
        &Id(step.id),
        &Id(step.session),
        &step.phase,
        &Word(step.from),
        &step.to.map(Word),
        &step.result,
        &step.error_code,
        &step.message,
        &step.attempts,
        &step.created_at,
        &step.updated_at,
    ];
    db.prepare_cached(&format!(
        "INSERT INTO scheduling_history ({COLUMNS}) VALUES
            (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    ))?
    .execute(values)?;
    Ok(())
}

/// How a text is compared.
#[derive(Debug, Clone)]
pub(crate) enum Match {
    Equals(String),
    Contains(String),
    StartsWith(String),
}

/// Which steps; what is empty does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) session: Option<Uuid>,
    pub(crate) from: Vec<SessionStatus>,
    pub(crate) to: Vec<SessionStatus>,
    pub(crate) results: Vec<String>,
    pub(crate) phase: Vec<Match>,
    pub(crate) error_code: Vec<Match>,
    pub(crate) message: Vec<Match>,
}

impl Filter {
    fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(session) = self.session {
            values.push(Box::new(Id(session)));
            conditions.push(format!("session = ?{}", values.len()));
        }
        let words = |statuses: &[SessionStatus]| -> Vec<String> {
            statuses.iter().map(SessionStatus::to_string).collect()
        };
        for (column, allowed) in [
            ("from_status", words(&self.from)),
            ("to_status", words(&self.to)),
            ("result", self.results.clone()),
        ] {
            if allowed.is_empty() {
                continue;
            }
            let places = allowed.into_iter().map(|word| {
                values.push(Box::new(word));
                format!("?{}", values.len())
            });
            let places: Vec<_> = places.collect();
            conditions.push(format!("{column} IN ({})", places.join(", ")));
        }
        for (column, matches) in [
            ("phase", &self.phase),
            ("error_code", &self.error_code),
            ("message", &self.message),
        ] {
            for one in matches {
                let place = values.len() + 1;
                let (text, condition) = match one {
                    Match::Equals(text) => (text, format!("{column} = ?{place}")),
                    Match::Contains(text) => (text, format!("instr({column}, ?{place}) > 0")),
                    Match::StartsWith(text) => (text, format!("instr({column}, ?{place}) = 1")),
                };
                values.push(Box::new(text.clone()));
                conditions.push(condition);
            }
        }
        (conditions.join(" AND "), values)
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// By the last try rather than by the first.
    pub(crate) by_update: bool,
    /// The oldest first.
    pub(crate) ascending: bool,
}

/// So many steps after `offset`, and how many there are in all.
pub(crate) fn search(
    db: &Connection,
    filter: &Filter,
    order: Order,
    limit: u32,
    offset: u32,
) -> Result<(Vec<Step>, u32)> {
    let (conditions, mut values) = filter.conditions();
    let count = format!("SELECT count(*) FROM scheduling_history WHERE {conditions}");
    let total = db
        .prepare_cached(&count)?
        .query_row(db::rusqlite::params_from_iter(&values), |row| row.get(0))?;
    let column = if order.by_update {
        "updated_at"
    } else {
        "created_at"
    };
    let direction = if order.ascending { "ASC" } else { "DESC" };
    values.push(Box::new(limit));
    values.push(Box::new(offset));
    let steps = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM scheduling_history WHERE {conditions}
             ORDER BY {column} {direction}, id {direction} LIMIT ?{} OFFSET ?{}",
            values.len() - 1,
            values.len()
        ))?
        .query_map(db::rusqlite::params_from_iter(&values), read)?
        .collect::<Result<_>>()?;
    Ok((steps, total))
}
