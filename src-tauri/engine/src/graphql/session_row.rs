//! The fields of a session written straight from its row: what [`session_record::field`] says, at a
//! fraction of its cost. JSON that the tables keep as text is read once for each text that differs.
//!
//! [`session_record::field`]: super::session_record::field

use std::collections::HashMap;

use async_graphql::dynamic::TypeRef;
use db::rusqlite::Row;
use db::rusqlite::types::{FromSql, FromSqlError, ValueRef};
use protocol::service_port::ServicePort;
use protocol::slots::ResourceSlots;
use serde_json::{Map, Value, json};

use super::schema::plain_value;
use super::session_record::{self, PERMISSIONS, shown_ports, text};
use crate::error::Problem;
use crate::store::At;
use crate::store::session::SessionMount;
use crate::store::session_list::Column;

/// What a field is made of.
#[derive(Clone, Copy)]
enum Source {
    /// A text or a number of the row, as it is.
    Plain(Column),
    /// A word of the protocol, in capitals.
    Capitals(Column),
    Time(Column),
    /// Worked out from the texts of some columns.
    Made(&'static [Column], Make),
    /// The same for all.
    Always(fn() -> Value),
}

/// How a field comes out of the texts of its columns.
type Make = fn(&[Option<&str>]) -> Result<Value, serde_json::Error>;

/// The text of a column that is never null.
fn first<'a>(texts: &[Option<&'a str>]) -> &'a str {
    texts.first().copied().flatten().unwrap_or_default()
}

fn second<'a>(texts: &[Option<&'a str>]) -> &'a str {
    texts.get(1).copied().flatten().unwrap_or_default()
}

fn entered(history: &str, status: &str) -> Result<Value, serde_json::Error> {
    let history: Map<String, Value> = serde_json::from_str(history)?;
    Ok(history.get(status).cloned().unwrap_or_default())
}

fn source(field: &str) -> Option<Source> {
    use Column as C;
    use Source::{Always, Capitals, Made, Plain, Time};
    Some(match field {
        "id" | "session_id" => Plain(C::Id),
        "tag" => Plain(C::Tag),
        "name" => Plain(C::Name),
        "type" => Capitals(C::Kind),
        "image" => Plain(C::Image),
        "image_references" => Made(&[C::Image], |texts| Ok(json!([first(texts)]))),
        "architecture" => Plain(C::Architecture),
        "registry" => Made(&[C::Image], |texts| {
            Ok(json!(first(texts).split('/').next()))
        }),
        "cluster_template" | "inference_metrics" => Always(|| Value::Null),
        "cluster_mode" => Plain(C::ClusterMode),
        "cluster_size" => Plain(C::ClusterSize),
        "domain_name" => Plain(C::Domain),
        "group_name" => Plain(C::ProjectName),
        "group_id" | "project_id" => Plain(C::Project),
        "user_email" | "created_user_email" => Plain(C::UserEmail),
        "full_name" => Plain(C::UserFullName),
        "user_id" | "created_user_id" => Plain(C::User),
        "access_key" => Plain(C::AccessKey),
        "created_at" => Time(C::CreatedAt),
        "starts_at" => Time(C::StartsAt),
        "terminated_at" => Time(C::TerminatedAt),
        "startup_command" => Plain(C::StartupCommand),
        "resource_opts" => Made(&[C::ResourceOpts], |texts| {
            let options: Map<String, Value> = serde_json::from_str(first(texts))?;
            Ok(text(&options))
        }),
        "scaling_group" => Plain(C::ResourceGroup),
        "mounts" => Made(&[C::Mounts], |texts| {
            let mounts: Vec<SessionMount> = serde_json::from_str(first(texts))?;
            Ok(mounts.into_iter().map(|mount| mount.name).collect())
        }),
        "vfolder_mounts" => Made(&[C::Mounts], |texts| {
            let mounts: Vec<SessionMount> = serde_json::from_str(first(texts))?;
            Ok(mounts.iter().map(|it| it.folder.to_string()).collect())
        }),
        "requested_slots" => Made(&[C::RequestedSlots, C::ClusterSize], |texts| {
            let slots: ResourceSlots = serde_json::from_str(first(texts))?;
            let kernels = second(texts).parse().unwrap_or_default();
            Ok(text(&session_record::times(&slots, kernels)))
        }),
        "permissions" => Always(|| json!(PERMISSIONS)),
        "main_kernel_id" => Plain(C::MainKernel),
        "main_kernel_role" => Always(|| "COMPUTE".into()),
        "priority" => Plain(C::Priority),
        "status" => Plain(C::Status),
        "status_changed" => Made(&[C::StatusHistory, C::Status], |texts| {
            entered(first(texts), second(texts))
        }),
        "scheduled_at" => Made(&[C::StatusHistory], |texts| {
            entered(first(texts), "SCHEDULED")
        }),
        "status_info" => Plain(C::StatusInfo),
        "status_data" => Made(&[C::StatusData], |texts| {
            let data: Value = serde_json::from_str(first(texts))?;
            Ok(session_record::shown_data(&data))
        }),
        "status_history" => Made(&[C::StatusHistory], |texts| {
            let history: std::collections::BTreeMap<String, String> =
                serde_json::from_str(first(texts))?;
            Ok(text(&history))
        }),
        "result" => Capitals(C::Result),
        "commit_status" => Always(|| "ready".into()),
        "abusing_reports" => Always(|| json!([])),
        "agent_ids" | "agents" => Made(&[C::Agents], |texts| serde_json::from_str(first(texts))),
        "agent_id" => Made(&[C::Agents], |texts| {
            let agents: Vec<Value> = serde_json::from_str(first(texts))?;
            Ok(agents.into_iter().next().unwrap_or_default())
        }),
        "service_ports" => Made(&[C::ServicePorts], |texts| {
            // Those that can't be read are none, as elsewhere.
            let ports: Vec<ServicePort> = serde_json::from_str(first(texts)).unwrap_or_default();
            Ok(text(&shown_ports(ports)))
        }),
        "occupying_slots" | "occupied_slots" => Made(&[C::OccupiedSlots], |texts| {
            let slots: ResourceSlots = serde_json::from_str(first(texts))?;
            Ok(text(&slots))
        }),
        "num_queries" => Plain(C::NumQueries),
        _ => return None,
    })
}

/// One field of the rows, and what the answer calls it.
pub(super) struct Field {
    /// With its colon, as JSON.
    key: String,
    kind: &'static TypeRef,
    source: Source,
}

impl Field {
    /// A field of sessions; `None` when there is none of this name.
    pub(super) fn new(name: &str, key: &str, kind: &'static TypeRef) -> Option<Self> {
        let key = format!("{}:", serde_json::to_string(key).ok()?);
        let source = source(name)?;
        Some(Self { key, kind, source })
    }
}

/// Writes rows as JSON objects.
pub(super) struct Writer<'a> {
    fields: &'a [Field],
    columns: Vec<Column>,
    /// Of each field, where its columns are in the row.
    places: Vec<Vec<usize>>,
    /// Of each field, what came out of which texts.
    made: Vec<HashMap<String, Vec<u8>>>,
    /// The texts of a field, one after the other.
    texts: String,
}

impl<'a> Writer<'a> {
    pub(super) fn new(fields: &'a [Field]) -> Self {
        let mut columns = Vec::new();
        let mut place = |column: Column| {
            let known = columns.iter().position(|one| *one == column);
            known.unwrap_or_else(|| {
                columns.push(column);
                columns.len() - 1
            })
        };
        let places = fields
            .iter()
            .map(|field| match field.source {
                Source::Plain(one) | Source::Capitals(one) | Source::Time(one) => vec![place(one)],
                Source::Made(several, _) => several.iter().map(|one| place(*one)).collect(),
                Source::Always(_) => Vec::new(),
            })
            .collect();
        // A row has at least one column.
        place(Column::Id);
        Self {
            fields,
            columns,
            places,
            made: fields.iter().map(|_| HashMap::new()).collect(),
            texts: String::new(),
        }
    }

    /// What the rows must have, in this order.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Writes one row to the end of `out`.
    pub(super) fn write(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        for index in 0..self.fields.len() {
            out.push(if index == 0 { b'{' } else { b',' });
            let field = &self.fields[index];
            out.extend_from_slice(field.key.as_bytes());
            let place = self.places[index].first().copied().unwrap_or_default();
            match field.source {
                Source::Plain(_) => plain(row.get_ref(place)?, out)?,
                Source::Capitals(_) => {
                    let word = row.get_ref(place)?.as_str().map_err(unread)?;
                    json_text(&word.to_uppercase(), out)?;
                }
                Source::Time(_) => match row.get_ref(place)? {
                    ValueRef::Null => out.extend_from_slice(b"null"),
                    time => json_text(&At::column_result(time).map_err(unread)?.iso(), out)?,
                },
                Source::Made(_, make) => self.made(index, make, row, out)?,
                Source::Always(value) => {
                    serde_json::to_writer(&mut *out, &plain_value(value(), field.kind))
                        .map_err(unread)?;
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn made(
        &mut self,
        index: usize,
        make: Make,
        row: &Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        self.texts.clear();
        let mut ends = [None; 2];
        for (end, place) in ends.iter_mut().zip(&self.places[index]) {
            match row.get_ref(*place)? {
                ValueRef::Null => {}
                ValueRef::Integer(number) => {
                    self.texts.push_str(&number.to_string());
                    *end = Some(self.texts.len());
                }
                other => {
                    self.texts.push_str(other.as_str().map_err(unread)?);
                    *end = Some(self.texts.len());
                }
            }
            // Two texts that end elsewhere are two others.
            self.texts.push('\u{1f}');
        }
        if let Some(known) = self.made[index].get(self.texts.as_str()) {
            out.extend_from_slice(known);
            return Ok(());
        }
        let begin = ends[0].map_or(1, |end| end + 1);
        let texts = [
            ends[0].map(|end| &self.texts[..end]),
            ends[1].map(|end| &self.texts[begin..end]),
        ];
        let value = make(&texts).map_err(unread)?;
        let start = out.len();
        serde_json::to_writer(&mut *out, &plain_value(value, self.fields[index].kind))
            .map_err(unread)?;
        self.made[index].insert(self.texts.clone(), out[start..].to_vec());
        Ok(())
    }
}

fn unread(error: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("A row of the sessions: {error}"))
}

fn json_text(text: &str, out: &mut Vec<u8>) -> Result<(), Problem> {
    serde_json::to_writer(out, text).map_err(unread)
}

fn plain(value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(number) => serde_json::to_writer(out, &number).map_err(unread)?,
        ValueRef::Text(_) => json_text(value.as_str().map_err(unread)?, out)?,
        _ => return Err(unread(FromSqlError::InvalidType)),
    }
    Ok(())
}
