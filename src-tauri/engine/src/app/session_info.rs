//! A session as `GET /session/{s}` describes it.

use serde_json::{Value, json};

use super::notice;
use super::session::main_ports;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// The answer of `GET /session/{s}`.
pub(crate) async fn info(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
) -> Result<Value, Problem> {
    let id = session.id;
    notice::refresh(app, id, kernels).await;
    let notices = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::notice::of_session(db, id)?) })
        .await?;
    let main = kernels.first();
    let age = (app.clock)()
        .duration_since(session.created_at.0)
        .as_millis();
    let last_stat = main.and_then(|kernel| kernel.last_stat.clone());
    let mounts: Vec<&str> = session
        .mounts
        .iter()
        .map(|mount| mount.name.as_str())
        .collect();
    Ok(json!({
        "age": age,
        "domainName": session.domain,
        "groupId": session.project,
        "userId": session.user,
        "lang": session.image,
        "image": session.image,
        "architecture": session.architecture,
        "registry": session.image.split('/').next(),
        "tag": session.tag,
        "containerId": main.and_then(|kernel| kernel.container_id.clone()),
        "occupiedSlots": python(&json!(session.occupied_slots)),
        "occupyingSlots": python(&json!(session.occupied_slots)),
        "requestedSlots": python(&json!(session.requested_slots)),
        "occupiedShares": "{}",
        "environ": python(&json!(session.environ)),
        "resourceOpts": python(&json!(session.resource_opts)),
        "status": session.status,
        "statusInfo": session.status_info.as_deref().unwrap_or("None"),
        "statusData": session.status_data,
        "creationTime": session.created_at.iso(),
        "terminationTime": session.terminated_at.map(store::At::iso),
        "numQueriesExecuted": session.num_queries,
        "lastStat": last_stat,
        "idleChecks": app.idle.report(id),
        "id": session.id,
        "name": session.name,
        "type": session.kind,
        "result": session.result,
        "exitCode": session.exit_code,
        "mounts": mounts,
        "servicePorts": main_ports(kernels),
        "gangway_notices": notices,
    }))
}

/// Python's `str()` of a JSON value: what the manager sends for some maps.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(python).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), python(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if text.contains('\'') && !text.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_as_python_prints_them() {
        assert_eq!(
            python(&json!({"a": "it's", "b": [1, null, true], "c": "x'\"y"})),
            r#"{'a': "it's", 'b': [1, None, True], 'c': 'x\'"y'}"#
        );
    }
}
