//! What resolvers take and give: arguments, records, pages of records.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::filter::{self, Expression};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::user::Role;

/// The values of one object's fields by name. A field that it does not have is null.
pub(super) type Record = Map<String, Value>;

/// What a filter and an order look at.
pub(super) trait Fields {
    /// The field with this name; `None` when there is no such field.
    fn field(&self, name: &str) -> Option<Cow<'_, Value>>;
}

impl Fields for Record {
    fn field(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// One question: to whom, by whom, with which arguments.
pub(super) struct Ask<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller,
    pub(super) args: Map<String, Value>,
}

impl Ask<'_> {
    /// A text argument; null and empty are none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.args
            .get(name)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// A text argument that must be there.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)
            .ok_or_else(|| Problem::invalid_params(format!("{name} is missing")))
    }

    /// A boolean argument.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.args.get(name)?.as_bool()
    }

    fn number(&self, name: &str) -> Option<usize> {
        usize::try_from(self.args.get(name)?.as_u64()?).ok()
    }

    /// An id, raw or as the base64 of `<type>:<id>`.
    pub(super) fn id(&self, name: &str) -> Result<String, Problem> {
        Ok(raw_id(self.needed(name)?))
    }

    /// An id argument that must be a UUID.
    pub(super) fn uuid(&self, name: &str) -> Result<Uuid, Problem> {
        let text = self.id(name)?;
        text.parse()
            .map_err(|_| Problem::invalid_params(format!("{name}: {text} is not a UUID")))
    }

    /// Refuses those who aren't superadmin.
    pub(super) fn superadmin(&self) -> Result<(), Problem> {
        if self.caller.is_superadmin() {
            return Ok(());
        }
        Err(Problem::forbidden(
            "Forbidden operation. (superadmin privilege required)",
        ))
    }

    /// Refuses a domain that is not the caller's, unless they are superadmin.
    pub(super) fn own_domain(&self) -> Result<(), Problem> {
        match self.text("domain_name") {
            Some(domain) if domain != self.caller.user.domain && !self.caller.is_superadmin() => {
                Err(Problem::forbidden("Forbidden operation."))
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller sees what belongs to others of their domain.
    pub(super) fn is_admin(&self) -> bool {
        matches!(self.caller.user.role, Role::Superadmin | Role::Admin)
    }

    /// The rows that the arguments `filter` and `order` leave, in their order.
    pub(super) fn arranged<F: Fields>(&self, mut rows: Vec<F>) -> Result<Vec<F>, Problem> {
        if let Some(text) = self.text("filter") {
            let expression = Expression::parse(text)
                .map_err(|error| Problem::invalid_params(format!("filter: {error}")))?;
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                let fits = expression
                    .fits(&row)
                    .map_err(|error| Problem::invalid_params(format!("filter: {error}")))?;
                if fits {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        match self.text("order") {
            Some(text) => Ok(filter::sorted(rows, text)),
            None => Ok(rows),
        }
    }

    /// The page that `limit` and `offset` ask for.
    pub(super) fn window(&self) -> (u32, u32) {
        let number = |name| {
            self.number(name)
                .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
        };
        let limit = number("limit").unwrap_or(u32::MAX);
        (limit, number("offset").unwrap_or_default())
    }

    /// A page by `limit` and `offset`: `{items, total_count}`.
    pub(super) fn page(&self, records: Vec<Record>) -> Result<Value, Problem> {
        let records = self.arranged(records)?;
        let total_count = records.len();
        let offset = self.number("offset").unwrap_or_default();
        let limit = self.number("limit").unwrap_or(usize::MAX);
        let items: Vec<Record> = records.into_iter().skip(offset).take(limit).collect();
        Ok(json!({ "items": items, "total_count": total_count }))
    }

    /// A page by cursors, or by `offset` and `first`: `{edges, pageInfo, count}`.
    pub(super) fn connection(&self, records: Vec<Record>) -> Result<Value, Problem> {
        let records = self.arranged(records)?;
        let count = records.len();
        let at = |cursor: &str| {
            records
                .iter()
                .position(|record| cursor_of(record) == cursor)
        };
        let mut begin = match self.text("after") {
            Some(cursor) => at(cursor).map_or(count, |index| index + 1),
            None => self.number("offset").unwrap_or_default().min(count),
        };
        let mut end = self.text("before").and_then(at).unwrap_or(count).max(begin);
        if let Some(first) = self.number("first") {
            end = end.min(begin.saturating_add(first));
        }
        if let Some(last) = self.number("last") {
            begin = begin.max(end.saturating_sub(last));
        }
        let edges: Vec<Value> = records
            .into_iter()
            .take(end)
            .skip(begin)
            .map(|node| json!({ "cursor": cursor_of(&node), "node": node }))
            .collect();
        let cursor = |edge: Option<&Value>| edge.and_then(|edge| edge.get("cursor").cloned());
        Ok(json!({
            "pageInfo": {
                "hasNextPage": end < count,
                "hasPreviousPage": begin > 0,
                "startCursor": cursor(edges.first()),
                "endCursor": cursor(edges.last()),
            },
            "edges": edges,
            "count": count,
        }))
    }
}

fn cursor_of(record: &Record) -> String {
    let id = record.get("id").and_then(Value::as_str).unwrap_or_default();
    STANDARD.encode(format!("cursor:{id}"))
}

/// The id of a node: base64 of `<type>:<id>`.
pub(super) fn global_id(kind: &str, id: &str) -> String {
    STANDARD.encode(format!("{kind}:{id}"))
}

/// The row's own id, out of a node's id or itself.
pub(super) fn raw_id(text: &str) -> String {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|decoded| Some(decoded.split_once(':')?.1.to_owned()))
        .unwrap_or_else(|| text.to_owned())
}

/// The fields of a JSON object.
pub(super) fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

/// The same record as a node: its `id` becomes `<kind>:<id>`, the bare one is in `row_id`.
pub(super) fn node(kind: &str, mut fields: Record) -> Record {
    let id = fields
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    fields.insert("id".into(), global_id(kind, &id).into());
    fields.insert("row_id".into(), id.into());
    fields
}

/// `{key, value}` of each pair.
pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Value> {
    pairs
        .into_iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}
