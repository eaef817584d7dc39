//! Makes `schema.graphql` answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use async_graphql::dynamic::{
    Enum, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, Scalar,
    Schema, TypeRef,
};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Error, ErrorExtensions, Value};
use serde_json::Value as Json;

use super::record::{Ask, Record};
use super::{mutation, query};
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::App;

const SOURCE: &str = include_str!("schema.graphql");
const QUERIES: &str = "Queries";
const MUTATIONS: &str = "Mutations";
/// Fields of this type carry JSON as text inside the JSON answer.
const JSON_STRING: &str = "JSONString";
/// How deep a query may nest: a session's kernels' image's labels are six.
const MAX_DEPTH: usize = 16;

static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(build);

/// The schema, made once.
pub(super) fn get() -> Result<&'static Schema, Problem> {
    SCHEMA
        .as_ref()
        .map_err(|error| Problem::internal(format!("The GraphQL schema: {error}")))
}

fn build() -> Result<Schema, String> {
    let document = parse_schema(SOURCE).map_err(|error| error.to_string())?;
    let types: Vec<_> = document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(one) => Some(one.node),
            _ => None,
        })
        .collect();
    let objects: &'static BTreeSet<String> = Box::leak(Box::new(
        types
            .iter()
            .filter(|one| matches!(one.kind, TypeKind::Object(_)))
            .map(|one| one.name.node.to_string())
            .collect(),
    ));
    let mut schema = Schema::build(QUERIES, Some(MUTATIONS), None)
        .limit_depth(MAX_DEPTH)
        .disable_introspection();
    for one in types {
        let name = one.name.node.to_string();
        schema = match one.kind {
            TypeKind::Scalar => schema.register(Scalar::new(name)),
            TypeKind::Object(object) => {
                let fields = object.fields.into_iter().map(|field| field.node);
                schema.register(fields.fold(Object::new(&name), |object, field| {
                    object.field(answering(&name, field, objects))
                }))
            }
            TypeKind::InputObject(input) => {
                let fields = input
                    .fields
                    .into_iter()
                    .map(|field| input_value(field.node));
                schema.register(fields.fold(InputObject::new(name), InputObject::field))
            }
            TypeKind::Enum(kind) => {
                let values = kind
                    .values
                    .into_iter()
                    .map(|value| value.node.value.node.to_string());
                schema.register(Enum::new(name).items(values))
            }
            TypeKind::Interface(_) | TypeKind::Union(_) => {
                return Err(format!("{name}: interfaces and unions are not used"));
            }
        };
    }
    schema.finish().map_err(|error| error.to_string())
}

/// The type of a field that a list shows as it is: no arguments, no object behind it.
pub(super) fn plain_type(object: &str, field: &str) -> Option<&'static TypeRef> {
    PLAIN.get(object)?.get(field)
}

/// [`plain_type`] of each object.
static PLAIN: LazyLock<HashMap<String, HashMap<String, TypeRef>>> = LazyLock::new(|| {
    let objects = parse_schema(SOURCE).map(|document| document.definitions);
    let objects: Vec<_> = objects
        .unwrap_or_default()
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(one) => match one.node.kind {
                TypeKind::Object(object) => Some((one.node.name.node.to_string(), object)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let names: BTreeSet<String> = objects.iter().map(|(name, _)| name.clone()).collect();
    let plain = |field: FieldDefinition| {
        let kind = type_ref(&field.ty.node);
        (field.arguments.is_empty() && !names.contains(kind.type_name()))
            .then(|| (field.name.node.to_string(), kind))
    };
    objects
        .into_iter()
        .map(|(name, object)| {
            let fields = object.fields.into_iter().map(|field| field.node);
            (name, fields.filter_map(plain).collect())
        })
        .collect()
});

fn type_ref(kind: &Type) -> TypeRef {
    let base = match &kind.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
    };
    if kind.nullable {
        base
    } else {
        TypeRef::NonNull(Box::new(base))
    }
}

fn input_value(definition: InputValueDefinition) -> InputValue {
    let input = InputValue::new(definition.name.node.as_str(), type_ref(&definition.ty.node));
    match definition.default_value {
        Some(default) => input.default_value(default.node),
        None => input,
    }
}

fn answering(
    object: &str,
    definition: FieldDefinition,
    objects: &'static BTreeSet<String>,
) -> Field {
    let kind = type_ref(&definition.ty.node);
    let (object, name) = (object.to_owned(), definition.name.node.to_string());
    let answer_kind = kind.clone();
    let field = Field::new(name.clone(), kind, move |ctx| {
        // Most of what is asked for lies in the parent's record: it is taken without a detour.
        let parent = ctx.parent_value.try_downcast_ref::<Record>().ok();
        if let Some(value) = parent.and_then(|record| record.get(&name)) {
            return FieldFuture::Value(field_value(value.clone(), &answer_kind, objects));
        }
        let (object, name, kind) = (object.clone(), name.clone(), answer_kind.clone());
        FieldFuture::new(async move {
            match resolve(&ctx, &object, &name).await {
                Ok(value) => Ok(field_value(value, &kind, objects)),
                Err(problem) if matches!(kind, TypeRef::NonNull(_)) => Err(into_error(problem)),
                // One part that fails leaves the others their answers.
                Err(problem) => {
                    let error = into_error(problem).into_server_error(ctx.item.pos);
                    ctx.add_error(ctx.set_error_path(error));
                    Ok(None)
                }
            }
        })
    });
    definition
        .arguments
        .into_iter()
        .fold(field, |field, argument| {
            field.argument(input_value(argument.node))
        })
}

async fn resolve(ctx: &ResolverContext<'_>, object: &str, field: &str) -> Result<Json, Problem> {
    let lost = |_| Problem::internal("The query lost its context.");
    let ask = Ask {
        app: ctx.data::<App>().map_err(lost)?,
        caller: ctx.data::<Caller>().map_err(lost)?,
        args: ctx
            .args
            .iter()
            .filter_map(|(name, value)| {
                Some((name.to_string(), value.as_value().clone().into_json().ok()?))
            })
            .collect(),
    };
    match object {
        QUERIES => query::root(&ask, field).await,
        MUTATIONS => mutation::root(&ask, field).await,
        _ => {
            let parent: &Record = ctx.parent_value.try_downcast_ref().map_err(lost)?;
            match query::computed(&ask, object, field, parent).await? {
                Some(value) => Ok(value),
                None => Ok(parent.get(field).cloned().unwrap_or_default()),
            }
        }
    }
}

fn into_error(problem: Problem) -> Error {
    let code = problem.code().to_owned();
    Error::new(problem.text()).extend_with(|_, extensions| extensions.set("code", code))
}

fn field_value(
    value: Json,
    kind: &TypeRef,
    objects: &BTreeSet<String>,
) -> Option<FieldValue<'static>> {
    match (value, kind) {
        (Json::Null, _) => None,
        (value, TypeRef::NonNull(inner)) => field_value(value, inner, objects),
        (Json::Array(items), TypeRef::List(inner)) => {
            let items = items
                .into_iter()
                .map(|item| field_value(item, inner, objects).unwrap_or(FieldValue::NULL));
            Some(FieldValue::list(items))
        }
        (Json::Object(record), TypeRef::Named(name)) if objects.contains(name.as_ref()) => {
            Some(FieldValue::owned_any::<Record>(record))
        }
        (value, kind) => Some(FieldValue::value(
            Value::from_json(plain_value(value, kind)).unwrap_or_default(),
        )),
    }
}

/// A value that is no object of the schema, as an answer says it.
pub(super) fn plain_value(value: Json, kind: &TypeRef) -> Json {
    match (value, kind) {
        (value @ (Json::Null | Json::String(_)), _) => value,
        (value, TypeRef::NonNull(inner)) => plain_value(value, inner),
        (Json::Array(items), TypeRef::List(inner)) => items
            .into_iter()
            .map(|item| plain_value(item, inner))
            .collect(),
        (value, TypeRef::Named(name)) if name == JSON_STRING => value.to_string().into(),
        (value, _) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_can_be_made() {
        assert_eq!(build().err(), None);
    }
}
