//! Properties of a request, read into a change of columns.
//!
//! A property that is not there leaves its column alone, and so does null, unless null is a value of
//! its own for that property.

use protocol::binary_size::BinarySize;
use protocol::slots::ResourceSlots;
use serde_json::{Map, Value};

use crate::app::bootstrap::{FOLDER_HOST, FOLDER_PERMISSIONS};
use crate::error::Problem;
use crate::store::Json;
use crate::store::change::Change;

/// The properties of a request.
pub(crate) struct Props<'a>(pub(crate) &'a Map<String, Value>);

type Read<T> = Result<Option<T>, Problem>;

fn wrong(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::invalid_params(format!("{name}: {why}"))
}

impl Props<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether it is there and null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    pub(crate) fn text(&self, name: &str) -> Read<String> {
        let read = |value: &Value| {
            let text = value
                .as_str()
                .ok_or_else(|| wrong(name, "a text is needed"));
            text.map(str::to_owned)
        };
        self.get(name).map(read).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Read<bool> {
        let read = |value: &Value| {
            value
                .as_bool()
                .ok_or_else(|| wrong(name, "true or false is needed"))
        };
        self.get(name).map(read).transpose()
    }

    /// A number in a text too: clients send large ones so.
    pub(crate) fn number(&self, name: &str) -> Read<i64> {
        let read = |value: &Value| {
            let number = match value {
                Value::String(text) => text.trim().parse().ok(),
                other => other.as_i64(),
            };
            number.ok_or_else(|| wrong(name, "a whole number is needed"))
        };
        self.get(name).map(read).transpose()
    }

    /// A number that fits a count.
    pub(crate) fn count(&self, name: &str) -> Read<u32> {
        let read = |number: i64| {
            u32::try_from(number).map_err(|_| wrong(name, format!("{number} is out of range")))
        };
        self.number(name)?.map(read).transpose()
    }

    pub(crate) fn texts(&self, name: &str) -> Read<Vec<String>> {
        let read = |value: &Value| {
            serde_json::from_value(value.clone())
                .map_err(|_| wrong(name, "a list of texts is needed"))
        };
        self.get(name).map(read).transpose()
    }

    /// JSON, or a text that holds some; an empty text is nothing.
    pub(crate) fn json(&self, name: &str) -> Read<Value> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text)
                .map(Some)
                .map_err(|error| wrong(name, error)),
            Some(other) => Ok(Some(other.clone())),
        }
    }

    /// Amounts by slot; infinity may be one.
    pub(crate) fn slots(&self, name: &str) -> Read<ResourceSlots> {
        let Some(value) = self.json(name)? else {
            return Ok(None);
        };
        let slots: ResourceSlots =
            serde_json::from_value(value).map_err(|error| wrong(name, error))?;
        match slots.0.iter().find(|(_, amount)| amount.is_negative()) {
            Some((slot, amount)) => Err(wrong(name, format!("{slot}: {amount} is negative"))),
            None => Ok(Some(slots)),
        }
    }

    /// Bytes, as a number or a size such as `4g`.
    pub(crate) fn size(&self, name: &str) -> Read<i64> {
        match self.get(name) {
            Some(Value::String(text)) if text.trim().parse::<i64>().is_err() => {
                let size: BinarySize = text.parse().map_err(|error| wrong(name, error))?;
                i64::try_from(size.0)
                    .map(Some)
                    .map_err(|_| wrong(name, "too large"))
            }
            _ => self.number(name),
        }
    }

    /// Folder hosts and what may be done on each; the older list of hosts allows everything.
    pub(crate) fn hosts(&self, name: &str) -> Read<Value> {
        let Some(value) = self.json(name)? else {
            return Ok(None);
        };
        let all = || Value::from(FOLDER_PERMISSIONS.to_vec());
        let hosts: Map<String, Value> = match value {
            Value::Array(hosts) => hosts
                .iter()
                .filter_map(Value::as_str)
                .map(|host| (host.to_owned(), all()))
                .collect(),
            Value::Object(hosts) => hosts,
            _ => return Err(wrong(name, "hosts with their permissions are needed")),
        };
        for (host, permissions) in &hosts {
            if host != FOLDER_HOST {
                return Err(wrong(name, format!("there is no folder host \"{host}\"")));
            }
            let known = |one: &Value| {
                one.as_str()
                    .is_some_and(|it| FOLDER_PERMISSIONS.contains(&it))
            };
            let right = permissions
                .as_array()
                .is_some_and(|list| list.iter().all(known));
            if !right {
                return Err(wrong(
                    name,
                    format!("\"{host}\" has permissions that are unknown"),
                ));
            }
        }
        Ok(Some(Value::Object(hosts)))
    }
}

/// Which property goes to the column of the same name, and how it is read.
pub(super) enum Kind {
    Text,
    /// Null and the empty text empty the column.
    NullableText,
    Flag,
    Count,
    /// Null empties the column.
    NullableCount,
    Size,
    Slots,
    /// Null empties the column.
    NullableSlots,
    Hosts,
    Json,
    Texts,
    /// Null empties the column.
    NullableTexts,
}

impl Props<'_> {
    /// The change that these properties ask for.
    pub(super) fn change(&self, columns: &[(&'static str, Kind)]) -> Result<Change, Problem> {
        let mut change = Change::default();
        for (name, kind) in columns {
            let name = *name;
            let nullable = matches!(
                kind,
                Kind::NullableText
                    | Kind::NullableCount
                    | Kind::NullableSlots
                    | Kind::NullableTexts
            );
            if nullable && self.is_null(name) {
                change.set(name, None::<String>);
                continue;
            }
            match kind {
                Kind::Text => self.text(name)?.map(|it| change.set(name, it)),
                Kind::NullableText => self
                    .text(name)?
                    .map(|it| change.set(name, (!it.is_empty()).then_some(it))),
                Kind::Flag => self.flag(name)?.map(|it| change.set(name, it)),
                Kind::Count | Kind::NullableCount => {
                    self.count(name)?.map(|it| change.set(name, it))
                }
                Kind::Size => self.size(name)?.map(|it| change.set(name, it)),
                Kind::Slots | Kind::NullableSlots => {
                    self.slots(name)?.map(|it| change.set(name, Json(it)))
                }
                Kind::Hosts => self.hosts(name)?.map(|it| change.set(name, Json(it))),
                Kind::Json => self.json(name)?.map(|it| change.set(name, Json(it))),
                Kind::Texts | Kind::NullableTexts => {
                    self.texts(name)?.map(|it| change.set(name, Json(it)))
                }
            };
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hosts(value: Value) -> Result<Option<Value>, Problem> {
        Props(json!({ "hosts": value }).as_object().unwrap()).hosts("hosts")
    }

    #[test]
    fn hosts_are_checked() {
        let all = json!({ FOLDER_HOST: FOLDER_PERMISSIONS });
        assert_eq!(hosts(json!([FOLDER_HOST])).unwrap(), Some(all));
        let some = json!({ FOLDER_HOST: ["create-vfolder"] });
        assert_eq!(hosts(json!(some.to_string())).unwrap(), Some(some));
        assert!(hosts(json!(["elsewhere"])).is_err());
        assert!(hosts(json!({ FOLDER_HOST: ["fly"] })).is_err());
        assert_eq!(hosts(Value::Null).unwrap(), None);
    }

    #[test]
    fn numbers_may_come_as_texts() {
        let props = json!({ "a": "12", "b": -1, "c": "4g", "d": 1.5 });
        let props = Props(props.as_object().unwrap());
        assert_eq!(props.number("a").unwrap(), Some(12));
        assert_eq!(props.number("b").unwrap(), Some(-1));
        assert!(props.count("b").is_err());
        assert_eq!(props.size("c").unwrap(), Some(4 << 30));
        assert_eq!(props.size("b").unwrap(), Some(-1));
        assert!(props.number("d").is_err());
        assert_eq!(props.number("e").unwrap(), None);
    }
}
