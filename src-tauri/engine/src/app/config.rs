//! Settings of the installation, as administrators read and write them (protocol page
//! "Administrative REST" §1).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::Problem;
use crate::state::App;
use crate::store;

/// The most keys that one request may set.
const MOST_KEYS: usize = 16;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 512;
/// The longest value, in bytes.
const LONGEST_VALUE: usize = 64 << 10;

/// A key as it is kept: without `/` at its ends.
fn cleaned(key: &str) -> Result<String, Problem> {
    let key = key.trim_matches('/');
    if key.is_empty() || key.len() > LONGEST_KEY || key.contains('\0') {
        return Err(Problem::invalid_params(format!(
            "key: 1 to {LONGEST_KEY} characters are needed"
        )));
    }
    Ok(key.to_owned())
}

/// The value of a key, or with `prefix` the tree below it.
pub(crate) async fn get(app: &App, key: &str, prefix: bool) -> Result<Value, Problem> {
    let key = cleaned(key)?;
    if prefix {
        return Ok(nested(&key, &tree(app, &key).await?));
    }
    let value = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::config::get(db, &key)?) })
        .await?;
    Ok(value.into())
}

/// All keys at and below `key`, by their full names.
pub(crate) async fn tree(app: &App, key: &str) -> Result<BTreeMap<String, String>, Problem> {
    let key = key.to_owned();
    app.store
        .read(move |db| -> Result<_, Problem> { Ok(store::config::below(db, &key)?) })
        .await
}

/// Sets a key, or with an object all keys that it names below.
pub(crate) async fn set(app: &App, key: &str, value: &Value) -> Result<(), Problem> {
    let key = cleaned(key)?;
    let mut leaves = Vec::new();
    flatten(&key, value, &mut leaves)?;
    if leaves.len() > MOST_KEYS {
        return Err(Problem::invalid_params(format!(
            "value: at most {MOST_KEYS} keys can be set at once"
        )));
    }
    app.store
        .write(move |tx| -> Result<_, Problem> {
            for (key, value) in &leaves {
                store::config::set(tx, key, value)?;
            }
            Ok(())
        })
        .await?;
    changed(app);
    Ok(())
}

/// Forgets a key, or with `prefix` the tree below it too.
pub(crate) async fn remove(app: &App, key: &str, prefix: bool) -> Result<(), Problem> {
    let key = cleaned(key)?;
    app.store
        .write(move |tx| -> Result<_, Problem> {
            if prefix {
                store::config::remove_below(tx, &key)?;
            } else {
                store::config::remove(tx, &key)?;
            }
            Ok(())
        })
        .await?;
    changed(app);
    Ok(())
}

/// Who follows the settings looks again.
fn changed(app: &App) {
    app.nudge.idle.notify_one();
    app.nudge.schedule.notify_one();
    app.nudge.stop.notify_one();
}

fn flatten(key: &str, value: &Value, into: &mut Vec<(String, String)>) -> Result<(), Problem> {
    let text = match value {
        Value::Object(map) => {
            for (name, value) in map {
                // The empty name is the key itself.
                let name = name.trim_matches('/');
                let below = if name.is_empty() {
                    key.to_owned()
                } else {
                    cleaned(&format!("{key}/{name}"))?
                };
                flatten(&below, value, into)?;
            }
            return Ok(());
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null => String::new(),
        Value::Array(_) => {
            return Err(Problem::invalid_params(format!(
                "{key}: a text, a number, a boolean or an object is needed"
            )));
        }
    };
    if text.len() > LONGEST_VALUE {
        return Err(Problem::invalid_params(format!("{key}: it is too long")));
    }
    into.push((key.to_owned(), text));
    Ok(())
}

/// The tree as nested objects. A key that has a value and others below it keeps its own under the
/// empty name.
fn nested(key: &str, tree: &BTreeMap<String, String>) -> Value {
    let mut root = Map::new();
    for (name, value) in tree {
        let below = name.strip_prefix(key).unwrap_or(name);
        let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
        insert(&mut root, &parts, value);
    }
    Value::Object(root)
}

fn insert(into: &mut Map<String, Value>, parts: &[&str], value: &str) {
    let Some((first, rest)) = parts.split_first() else {
        into.insert(String::new(), value.into());
        return;
    };
    if rest.is_empty() && !into.contains_key(*first) {
        into.insert((*first).to_owned(), value.into());
        return;
    }
    let entry = into.entry(*first).or_insert(Value::Null);
    let mut below = match entry.take() {
        Value::Object(below) => below,
        Value::Null => Map::new(),
        own => Map::from_iter([(String::new(), own)]),
    };
    insert(&mut below, rest, value);
    *entry = Value::Object(below);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trees_come_back_as_they_were_given() {
        let value = json!({ "enabled": "network_timeout", "checkers": {
            "network_timeout": { "threshold": 600 }, "": "x" } });
        let mut leaves = Vec::new();
        flatten("config/idle", &value, &mut leaves).unwrap();
        let tree: BTreeMap<_, _> = leaves.into_iter().collect();
        assert_eq!(
            tree["config/idle/checkers/network_timeout/threshold"],
            "600"
        );
        assert_eq!(tree["config/idle/checkers"], "x");
        assert_eq!(
            nested("config/idle", &tree),
            json!({ "enabled": "network_timeout", "checkers": {
                "network_timeout": { "threshold": "600" }, "": "x" } })
        );
        assert!(flatten("a", &json!([1]), &mut Vec::new()).is_err());
        assert!(cleaned("/").is_err());
    }
}
