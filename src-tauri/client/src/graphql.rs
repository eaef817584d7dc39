//! GraphQL, for what REST does not tell.

use protocol::problem::Problem;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::{Value, json};

use crate::call::Call;
use crate::{Client, Error};

#[derive(Deserialize)]
struct Answer {
    data: Option<Value>,
    #[serde(default, deserialize_with = "null_is_empty")]
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
struct Extensions {
    #[serde(default)]
    code: Option<String>,
}

impl Client {
    /// Asks `query`; an error in the answer is an error here, even beside data.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
    ) -> Result<T, Error> {
        let body = json!({ "query": query, "variables": variables });
        let call = Call::post(&["admin", "gql"]).json(&body)?;
        let call = match query.trim_start().starts_with("query") {
            true => call.reads(),
            // What changes something is sent once.
            false => call,
        };
        let answer: Answer = self.json(call).await?;
        if let Some(item) = answer.errors.into_iter().next() {
            let mut problem = Problem::new("graphql-error", item.message);
            problem.error_code = item.extensions.code;
            let status = match problem.error_code.as_deref() {
                Some(code) if code.ends_with("not-found") => 404,
                Some(code) if code.ends_with("forbidden") => 403,
                _ => 400,
            };
            return Err(Error::Manager {
                status,
                problem: Box::new(problem),
            });
        }
        let data = answer
            .data
            .ok_or_else(|| Error::answer("a query", "no data"))?;
        // Only now: beside an error the data lack what the query asked for.
        serde_json::from_value(data).map_err(|error| Error::answer("a query", error))
    }
}

/// Reads a `JSONString` field: JSON text in a string, an object as it is, or nothing.
pub(crate) fn json_string<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(T::default()),
        Value::String(text) if text.is_empty() => Ok(T::default()),
        Value::String(text) => serde_json::from_str(&text).map_err(serde::de::Error::custom),
        other => serde_json::from_value(other).map_err(serde::de::Error::custom),
    }
}

/// Reads a list in a `JSONString` field. What is of a kind that we do not know yet is left out: it
/// must not hide everything else.
pub(crate) fn json_string_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let items: Vec<Value> = json_string(deserializer)?;
    let known = items.into_iter().map(serde_json::from_value);
    Ok(known.filter_map(Result::ok).collect())
}

/// Reads a list that may be `null`.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
