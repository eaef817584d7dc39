//! What clients before v8 do differently.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::error::Problem;

/// The largest body that is taken for a query, in bytes.
const MAX_QUERY: usize = 64 << 10;

/// They put the parameters of GET and DELETE into a JSON body: moves them into the query, where
/// everybody else has them. Comes after the signature was checked, since it changes the target.
pub(crate) async fn body_as_query(request: Request, next: Next) -> Response {
    let queries = matches!(*request.method(), Method::GET | Method::DELETE);
    let has_body = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length.as_bytes() != b"0");
    if !queries || !has_body {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_QUERY).await else {
        return Problem::malformed_body().into_response();
    };
    if let Ok(Value::Object(parameters)) = serde_json::from_slice(&bytes)
        && let Some(uri) = with_query(&parts.uri, &parameters)
    {
        parts.uri = uri;
    }
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

fn with_query(uri: &Uri, parameters: &serde_json::Map<String, Value>) -> Option<Uri> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut pairs: Vec<String> = uri
        .query()
        .filter(|query| !query.is_empty())
        .map(str::to_owned)
        .into_iter()
        .collect();
    for (key, value) in parameters {
        let values = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            pairs.push(format!("{}={}", encode(key), encode(&text)));
        }
    }
    format!("{}?{}", uri.path(), pairs.join("&")).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_end_up_in_the_query() {
        let parameters = json!({ "files": ["a b", "c&d"], "recursive": true, "none": null });
        let uri = "/x/y?k=v".parse().unwrap();
        let merged = with_query(&uri, parameters.as_object().unwrap()).unwrap();
        assert_eq!(merged, "/x/y?k=v&files=a%20b&files=c%26d&recursive=true");
    }
}
