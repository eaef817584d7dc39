//! The small language of service definitions: values in braces and steps before the start.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use protocol::{runner::launch::HOME, service_port::ServicePort};
use serde_json::{Map, Value};
use tokio::{io::AsyncReadExt, net::unix::pipe};

use super::{
    Session,
    apps::{Action, Definition},
    children::Children,
};

/// Values that a definition may use.
pub(super) struct Values(HashMap<String, Value>);

impl Values {
    pub(super) fn new(port: &ServicePort, python: Option<PathBuf>) -> Self {
        let python = python.unwrap_or_else(|| PathBuf::from("python3"));
        Self(HashMap::from([
            ("ports".to_owned(), Value::from(port.ports.clone())),
            (
                "runtime_path".to_owned(),
                Value::from(python.to_string_lossy()),
            ),
        ]))
    }

    /// Replaces `{name}`, `{name[0]}`, `{name[key]}` and `${{ name }}`. `{{` and `}}` are braces.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("${{") {
                let (name, after) = after
                    .split_once("}}")
                    .ok_or_else(|| format!("unclosed brace in {text:?}"))?;
                out.push_str(&self.value(name.trim())?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("{{") {
                out.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                out.push('}');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after
                    .split_once('}')
                    .ok_or_else(|| format!("unclosed brace in {text:?}"))?;
                out.push_str(&self.value(name)?);
                rest = after;
            } else {
                let mut characters = rest.chars();
                out.extend(characters.next());
                rest = characters.as_str();
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, expression: &str) -> Result<String, String> {
        let unknown = || format!("unknown value in a service definition: {expression}");
        let (name, keys) = expression.split_once('[').unwrap_or((expression, ""));
        let mut value = self.0.get(name).ok_or_else(unknown)?;
        for key in keys.split('[').filter(|key| !key.is_empty()) {
            let key = key.trim_end_matches(']');
            value = match key.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(key),
            }
            .ok_or_else(unknown)?;
        }
        Ok(value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned))
    }

    fn fill_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text)?),
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.fill_json(item))
                    .collect::<Result<_, _>>()?,
            ),
            other => other.clone(),
        })
    }
}

/// Does the steps before the start, keeping their results.
pub(super) async fn prestart(
    session: &Session,
    definition: &Definition,
    values: &mut Values,
) -> Result<(), String> {
    for Action { action, args, name } in &definition.prestart {
        let mut filled = Map::new();
        for (key, value) in args {
            filled.insert(key.clone(), values.fill_json(value)?);
        }
        let result = perform(session, action, &filled).await?;
        if let Some(name) = name {
            values.0.insert(name.clone(), result);
        }
    }
    Ok(())
}

async fn perform(
    session: &Session,
    action: &str,
    args: &Map<String, Value>,
) -> Result<Value, String> {
    let io = |error: std::io::Error| format!("{action}: {error}");
    match action {
        "write_file" => {
            let path = Path::new(HOME).join(text(args, "filename")?);
            write(&path, &lines(args, "\n"), args).map_err(io)?;
            Ok(Value::Null)
        }
        "write_tempfile" => {
            let mut seed = [0_u8; 8];
            rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
                .map_err(|error| io(error.into()))?;
            let path = PathBuf::from(format!("/tmp/service-{:016x}.py", u64::from_ne_bytes(seed)));
            write(&path, &lines(args, ""), args).map_err(io)?;
            Ok(Value::from(path.to_string_lossy()))
        }
        "mkdir" => {
            fs::create_dir_all(Path::new(HOME).join(text(args, "path")?)).map_err(io)?;
            Ok(Value::Null)
        }
        "run_command" => run(session, args).await,
        "log" => {
            session
                .journal
                .write(format!("{}\n", text(args, "message")?).as_bytes());
            Ok(Value::Null)
        }
        other => Err(format!("unknown step in a service definition: {other}")),
    }
}

fn text<'a>(args: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    args.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("a step lacks {name}"))
}

fn lines(args: &Map<String, Value>, end: &str) -> String {
    let body = args.get("body").and_then(Value::as_array);
    body.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .flat_map(|line| [line, end])
        .collect()
}

fn write(path: &Path, body: &str, args: &Map<String, Value>) -> std::io::Result<()> {
    let mode = args.get("mode").and_then(Value::as_str).unwrap_or("644");
    let mode = u32::from_str_radix(mode, 8).map_err(std::io::Error::other)?;
    let append = args.get("append").and_then(Value::as_bool).unwrap_or(false);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .open(path)?;
    file.write_all(body.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
}

async fn run(session: &Session, args: &Map<String, Value>) -> Result<Value, String> {
    let words: Vec<&str> = args
        .get("command")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (program, rest) = words.split_first().ok_or("a step lacks its command")?;
    let mut command = Children::command(program, None);
    command.args(rest).envs(session.environ.iter());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut started = session
        .children
        .spawn(&mut command)
        .map_err(|error| error.to_string())?;
    let out = read(started.child.stdout.take().map(Into::into)).await;
    let err = read(started.child.stderr.take().map(Into::into)).await;
    Ok(serde_json::json!({"out": out, "err": err}))
}

async fn read(stream: Option<std::os::fd::OwnedFd>) -> String {
    let mut bytes = Vec::new();
    if let Some(Ok(mut stream)) = stream.map(pipe::Receiver::from_owned_fd) {
        // What was read before an error is still worth having.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use protocol::service_port::ServiceProtocol;

    use super::*;

    #[test]
    fn values_are_filled_in() {
        let port = ServicePort {
            name: "x".to_owned(),
            protocol: ServiceProtocol::Http,
            ports: vec![8090, 8091],
            url_template: None,
            allowed_arguments: None,
            allowed_envs: None,
        };
        let mut values = Values::new(&port, Some(PathBuf::from("/usr/bin/python3")));
        values
            .0
            .insert("made".to_owned(), serde_json::json!({"out": "yes"}));
        assert_eq!(
            values.fill("{runtime_path} -p {ports[1]}").unwrap(),
            "/usr/bin/python3 -p 8091"
        );
        assert_eq!(
            values.fill("${{ made[out] }} {{}} $HOME").unwrap(),
            "yes {} $HOME"
        );
        assert!(values.fill("{nothing}").is_err());
        assert!(values.fill("{ports[0]").is_err());
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        let port = ServicePort::new("x", protocol::service_port::ServiceProtocol::Http, 8090);
        Values::new(&port, None)
    }

    proptest! {
        /// A definition is an image's: whatever stands there is filled in or refused.
        #[test]
        fn any_definition_is_filled_in_or_refused(
            text in "(\\$|\\{|\\}|\\[|\\]|ports|runtime_path|0|9999999999999999999999|é){0,16}|\\PC{0,30}",
            json in "[\\[\\]{}\":,a-z0-9]{0,40}",
        ) {
            let _ = values().fill(&text);
            let _ = values().fill_json(&serde_json::json!([text, { "a": text }, 1]));
            let _ = serde_json::from_str::<Definition>(&json);
        }

        #[test]
        fn text_without_braces_stays_and_braces_can_be_written(text in "[^{}$]{0,30}", more in "[a-z{} ]{0,12}") {
            prop_assert_eq!(values().fill(&text), Ok(text));
            let escaped = more.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(values().fill(&escaped), Ok(more));
        }

        #[test]
        fn values_are_found(before in "[a-z ]{0,6}", after in "[a-z ]{0,6}") {
            let port = values().fill(&format!("{before}{{ports[0]}}{after}"));
            prop_assert_eq!(port, Ok(format!("{before}8090{after}")));
        }
    }
}
