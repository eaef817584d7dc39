//! The short way for the query that is asked most: a page of sessions and plain fields of each.
//!
//! The general way costs a future for each of a page's three thousand values. Here the query is
//! recognised and its answer written straight from the rows. Whatever is not recognised, wrong or
//! merely unusual (fragments, directives, fields with something behind them) goes the general way,
//! which answers the same.

use std::collections::HashMap;

use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType,
    Selection, SelectionSet, Type,
};
use async_graphql::{Name, Value as GraphqlValue};
use db::rusqlite::Connection;
use serde_json::{Map, Value};

use super::record::Ask;
use super::schema::plain_type;
use super::session::{self, Chosen};
use super::session_row::{self, Writer};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;
use crate::store::session_list;

const LIST: &str = "compute_session_list";
const OBJECT: &str = "ComputeSession";

/// A query for one page of sessions.
pub(super) struct PlainList {
    /// What the answer calls the list.
    key: String,
    args: Map<String, Value>,
    parts: Vec<(String, Part)>,
}

enum Part {
    Items(Vec<session_row::Field>),
    TotalCount,
}

/// Reads a query that goes the short way; `None` for every other.
pub(super) fn recognise(document: &ExecutableDocument, variables: &Value) -> Option<PlainList> {
    let DocumentOperations::Single(operation) = &document.operations else {
        return None;
    };
    let operation = &operation.node;
    let plain = operation.ty == OperationType::Query
        && operation.directives.is_empty()
        && document.fragments.is_empty();
    if !plain {
        return None;
    }
    let [root] = fields(&operation.selection_set.node)?[..] else {
        return None;
    };
    if root.name.node != LIST {
        return None;
    }
    let args = arguments(operation, root, variables)?;
    let mut parts = Vec::new();
    for part in fields(&root.selection_set.node)? {
        let what = match part.name.node.as_str() {
            _ if !part.arguments.is_empty() => return None,
            "items" => Part::Items(columns(&part.selection_set.node)?),
            "total_count" if part.selection_set.node.items.is_empty() => Part::TotalCount,
            _ => return None,
        };
        parts.push((key(part), what));
    }
    distinct(parts.iter().map(|(key, _)| key.as_str())).then(|| PlainList {
        key: key(root),
        args,
        parts,
    })
}

/// The fields of a selection that has nothing else, and no directives.
fn fields(selection: &SelectionSet) -> Option<Vec<&Field>> {
    let plain = |one: &Selection| one.directives().is_empty();
    selection
        .items
        .iter()
        .map(|one| match &one.node {
            Selection::Field(field) if plain(&one.node) => Some(&field.node),
            _ => None,
        })
        .collect()
}

fn key(field: &Field) -> String {
    field.response_key().node.to_string()
}

fn distinct<'a>(keys: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = std::collections::HashSet::new();
    let mut some = false;
    for key in keys {
        some = true;
        if !seen.insert(key) {
            return false;
        }
    }
    some
}

fn columns(selection: &SelectionSet) -> Option<Vec<session_row::Field>> {
    let asked = fields(selection)?;
    let columns = asked.iter().map(|one| {
        let plain = one.arguments.is_empty() && one.selection_set.node.items.is_empty();
        let name = one.name.node.as_str();
        plain
            .then(|| session_row::Field::new(name, &key(one), plain_type(OBJECT, name)?))
            .flatten()
    });
    let columns = columns.collect::<Option<_>>()?;
    distinct(asked.iter().map(|one| one.response_key().node.as_str())).then_some(columns)
}

/// The type that an argument of the list has, and whether it must be there.
fn argument_type(name: &str) -> Option<(&'static str, bool)> {
    match name {
        "limit" | "offset" => Some(("Int", true)),
        "filter" | "order" | "domain_name" | "group_id" | "access_key" | "status" => {
            Some(("String", false))
        }
        _ => None,
    }
}

fn fits(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind != "Int",
        Value::String(_) => kind == "String",
        Value::Number(number) => {
            kind == "Int"
                && number
                    .as_u64()
                    .is_some_and(|one| i32::try_from(one).is_ok())
        }
        _ => false,
    }
}

/// Why there is no value of an argument.
enum Unread {
    /// Its variable was not given.
    Absent,
    Unusual,
}

/// The list's arguments, if every variable is declared, used and of the argument's own type.
fn arguments(
    operation: &OperationDefinition,
    list: &Field,
    variables: &Value,
) -> Option<Map<String, Value>> {
    let mut declared: HashMap<&Name, &Type> = HashMap::new();
    for one in &operation.variable_definitions {
        let variable = &one.node;
        if variable.default_value.is_some() || !variable.directives.is_empty() {
            return None;
        }
        declared.insert(&variable.name.node, &variable.var_type.node);
    }
    let mut args = Map::new();
    for (name, value) in &list.arguments {
        let (kind, needed) = argument_type(&name.node)?;
        let read = value.node.clone().into_const_with(|variable| {
            let declared = declared.remove(&variable).ok_or(Unread::Unusual)?;
            let same = matches!(&declared.base, BaseType::Named(base) if base == kind);
            if !same || (needed && declared.nullable) {
                return Err(Unread::Unusual);
            }
            let given = variables.get(variable.as_str()).ok_or(Unread::Absent)?;
            GraphqlValue::from_json(given.clone()).map_err(|_| Unread::Unusual)
        });
        let value = match read {
            Ok(value) => Some(value.into_json().ok()?),
            Err(Unread::Absent) => None,
            Err(Unread::Unusual) => return None,
        };
        match value {
            Some(value) if fits(&value, kind) => {
                args.insert(name.node.to_string(), value);
            }
            None if !needed => {}
            _ => return None,
        }
    }
    let whole = declared.is_empty() && args.contains_key("limit") && args.contains_key("offset");
    whole.then_some(args)
}

impl PlainList {
    /// The whole answer, as JSON.
    pub(super) async fn answer(self, app: &App, caller: &Caller) -> Result<Vec<u8>, Problem> {
        let Self { key, args, parts } = self;
        let chosen = session::choose(&Ask { app, caller, args }).await?;
        app.store
            .read(move |db| {
                let mut out = b"{\"data\":{".to_vec();
                write_key(&key, &mut out)?;
                write_list(db, &chosen, &parts, &mut out)?;
                // What fails goes the general way.
                out.extend_from_slice(b"},\"errors\":null}");
                Ok(out)
            })
            .await
    }
}

fn write_key(key: &str, out: &mut Vec<u8>) -> Result<(), Problem> {
    serde_json::to_writer(&mut *out, key).map_err(|it| Problem::internal(it.to_string()))?;
    out.push(b':');
    Ok(())
}

fn write_list(
    db: &Connection,
    chosen: &Chosen,
    parts: &[(String, Part)],
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    for (index, (key, part)) in parts.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        write_key(key, out)?;
        match part {
            Part::Items(fields) => write_items(db, chosen, fields, out)?,
            Part::TotalCount => out.extend(chosen.total_count(db)?.to_string().bytes()),
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_items(
    db: &Connection,
    chosen: &Chosen,
    fields: &[session_row::Field],
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let mut writer = Writer::new(fields);
    let columns = writer.columns().to_vec();
    let mut next = b'[';
    session_list::each(db, &chosen.places(db)?, &columns, |row| {
        out.push(next);
        next = b',';
        writer.write(row, out)
    })?;
    if next == b'[' {
        out.push(next);
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn recognised(query: &str, variables: Value) -> bool {
        recognise(&parse_query(query).unwrap(), &variables).is_some()
    }

    #[test]
    fn plain_lists_are_recognised() {
        for query in [
            "{compute_session_list(limit: 1, offset: 0) {items {id name} total_count}}",
            "{all: compute_session_list(limit: 1, offset: 0, status: \"RUNNING\") \
             {rows: items {key: id} total_count}}",
            "{compute_session_list(limit: 1, offset: 0, filter: null) {total_count}}",
        ] {
            assert!(recognised(query, Value::Null), "{query}");
        }
        let query = "query($limit: Int!, $offset: Int!, $status: String) {
            compute_session_list(limit: $limit, offset: $offset, status: $status) {items {id}}}";
        assert!(recognised(query, json!({"limit": 1, "offset": 0})));
        assert!(recognised(
            query,
            json!({"limit": 1, "offset": 0, "status": null})
        ));
    }

    #[test]
    fn everything_else_goes_the_general_way() {
        for query in [
            "mutation {compute_session_list(limit: 1, offset: 0) {total_count}}",
            "{compute_session(id: \"x\") {id}}",
            "{compute_session_list(limit: 1) {total_count}}",
            "{compute_session_list(limit: 1, offset: 0, unknown: 1) {total_count}}",
            "{compute_session_list(limit: \"1\", offset: 0) {total_count}}",
            "{compute_session_list(limit: -1, offset: 0) {total_count}}",
            "{compute_session_list(limit: 1, offset: 0, status: 1) {total_count}}",
            "{compute_session_list(limit: 1, offset: 0) {items {id id}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {unknown}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {permissions}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {containers {id}}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {idle_checks}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {id {x}}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {id @skip(if: true)}}}",
            "{compute_session_list(limit: 1, offset: 0) {items {... on ComputeSession {id}}}}",
            "{compute_session_list(limit: 1, offset: 0) {__typename}}",
            "{compute_session_list(limit: 1, offset: 0) {total_count} viewer {id}}",
        ] {
            assert!(!recognised(query, Value::Null), "{query}");
        }
        for (query, variables) in [
            (
                "query($limit: Int!) {compute_session_list(limit: $limit, offset: 0) \
                 {total_count}}",
                json!({}),
            ),
            (
                "query($limit: Int) {compute_session_list(limit: $limit, offset: 0) \
                 {total_count}}",
                json!({"limit": 1}),
            ),
            (
                "query($limit: Int!, $unused: Int) \
                 {compute_session_list(limit: $limit, offset: 0) {total_count}}",
                json!({"limit": 1}),
            ),
            (
                "query($limit: String!) {compute_session_list(limit: $limit, offset: 0) \
                 {total_count}}",
                json!({"limit": 1}),
            ),
        ] {
            assert!(!recognised(query, variables), "{query}");
        }
    }
}
