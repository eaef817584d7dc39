//! The body of every error that a manager answers (protocol page "Authentication" §6).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands before every slug in `type`.
pub const TYPE_PREFIX: &str = "https://api.backend.ai/probs/";

/// The content type of an error body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error body: `{"type", "title", "error_code", "msg", "data"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The full URL of the kind, [`TYPE_PREFIX`] and a slug.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// A fixed text for the kind.
    #[serde(default)]
    pub title: String,
    /// `<domain>_<operation>_<detail>`, absent in older managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Anything more, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What an agent said, in failures of an agent (500).
    #[serde(
        rename = "agent-details",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub agent_details: Option<Value>,
}

impl Problem {
    /// A problem of the kind `slug` with its fixed title.
    pub fn new(slug: &str, title: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title: title.into(),
            error_code: None,
            msg: None,
            data: None,
            agent_details: None,
        }
    }

    /// The same with its `error_code`.
    #[must_use]
    pub fn code(mut self, error_code: impl Into<String>) -> Self {
        self.error_code = Some(error_code.into());
        self
    }

    /// The same, saying what happened this time.
    #[must_use]
    pub fn msg(mut self, msg: impl Into<String>) -> Self {
        self.msg = Some(msg.into());
        self
    }

    /// The same with data.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// The last part of `type`: `session-already-exists`.
    pub fn slug(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }

    /// The most telling text: `msg`, else `title`.
    pub fn text(&self) -> &str {
        self.msg
            .as_deref()
            .filter(|text| !text.is_empty())
            .unwrap_or(&self.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_an_older_manager_left_out() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"https://api.backend.ai/probs/object-not-found","title":"No such session."}"#,
        )
        .unwrap();
        assert_eq!(problem.slug(), "object-not-found");
        assert_eq!(problem.text(), "No such session.");
        assert_eq!(
            problem,
            Problem::new("object-not-found", "No such session.")
        );
    }
}
