//! Apps of a session: where their definitions come from, and whether they can run.

use std::{collections::BTreeMap, fs, path::Path};

use protocol::{
    runner::{AppPhase, AppState},
    service_port::ServiceProtocol,
};
use serde::Deserialize;

use super::Session;

/// Where images keep their definitions (protocol page "Kernel runner" §5.4).
const DEFINITIONS: &str = "/etc/backend.ai/service-defs";

/// How a service is started.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Definition {
    pub(super) command: CommandLine,
    #[serde(default = "default_shell")]
    pub(super) shell: Option<String>,
    #[serde(default)]
    pub(super) noop: bool,
    #[serde(default)]
    pub(super) url_template: String,
    #[serde(default)]
    pub(super) prestart: Vec<Action>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) allowed_envs: Vec<String>,
    #[serde(default)]
    pub(super) allowed_arguments: Vec<String>,
    #[serde(default)]
    pub(super) default_arguments: BTreeMap<String, Option<protocol::runner::ArgumentValue>>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_shell() -> Option<String> {
    Some("bash".to_owned())
}

/// Text for a shell, or a program with its arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum CommandLine {
    Text(String),
    Words(Vec<String>),
}

/// Done before a service starts; the result can be used by its name.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Action {
    pub(super) action: String,
    #[serde(default)]
    pub(super) args: serde_json::Map<String, serde_json::Value>,
    #[serde(default, rename = "ref")]
    pub(super) name: Option<String>,
}

/// An app that sessions know without a definition in their image.
struct BuiltIn {
    name: &'static str,
    title: &'static str,
    /// Program that must be there.
    program: &'static str,
    source: Source,
    definition: &'static str,
}

/// Where a missing app comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A package for pip.
    Pip(&'static str),
    /// Text for `sh`, which calls npm.
    Npm(&'static str),
}

impl Source {
    /// The program that brings it.
    pub(super) fn installer(self) -> &'static str {
        match self {
            Self::Pip(_) => "python3",
            Self::Npm(_) => "npm",
        }
    }
}

/// Jupyter servers take no token: the only way in is through the session's owner.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "jupyterlab",
        title: "JupyterLab",
        program: "jupyter-lab",
        source: Source::Pip("jupyterlab"),
        definition: r#"{"command":["jupyter-lab","--no-browser","--ip=127.0.0.1","--port={ports[0]}","--ServerApp.port_retries=0","--IdentityProvider.token=","--ServerApp.password=","--ServerApp.allow_remote_access=True","--ServerApp.root_dir=/home/work","--FileContentsManager.delete_to_trash=False"],"allowed_envs":["JUPYTER_CONFIG_DIR"]}"#,
    },
    BuiltIn {
        name: "jupyter",
        title: "Jupyter Notebook",
        program: "jupyter-notebook",
        source: Source::Pip("notebook"),
        definition: r#"{"command":["jupyter-notebook","--no-browser","--ip=127.0.0.1","--port={ports[0]}","--ServerApp.port_retries=0","--IdentityProvider.token=","--ServerApp.password=","--ServerApp.allow_remote_access=True","--ServerApp.root_dir=/home/work","--FileContentsManager.delete_to_trash=False"],"allowed_envs":["JUPYTER_CONFIG_DIR"]}"#,
    },
    BuiltIn {
        name: "tensorboard",
        title: "TensorBoard",
        program: "tensorboard",
        source: Source::Pip("tensorboard"),
        definition: r#"{"prestart":[{"action":"mkdir","args":{"path":"/home/work/logs"}}],"command":["tensorboard","--host=127.0.0.1","--port={ports[0]}"],"allowed_arguments":["--logdir"],"default_arguments":{"--logdir":"/home/work/logs"}}"#,
    },
    BuiltIn {
        name: "vscode",
        title: "VS Code",
        program: "code-server",
        source: Source::Npm(include_str!("install/code-server.sh")),
        definition: r#"{"command":["code-server","--auth=none","--disable-telemetry","--disable-update-check","--bind-addr=127.0.0.1:{ports[0]}","/home/work"]}"#,
    },
];

fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|app| app.name == name)
}

/// From where an app can be brought.
pub(super) fn source(name: &str) -> Option<Source> {
    Some(built_in(name)?.source)
}

/// The definition of a service: the image's own first, then ours.
pub(super) fn definition(name: &str) -> Result<Option<Definition>, serde_json::Error> {
    // Service names are words; a name with a slash would read elsewhere.
    if name.contains(['/', '.']) {
        return Ok(None);
    }
    let path = Path::new(DEFINITIONS).join(format!("{name}.json"));
    if let Ok(text) = fs::read_to_string(path) {
        return serde_json::from_str(&text).map(Some);
    }
    match built_in(name) {
        Some(app) => serde_json::from_str(app.definition).map(Some),
        None => Ok(None),
    }
}

/// State of every app of the session.
pub(super) fn states(session: &Session) -> Vec<AppState> {
    session
        .service_ports()
        .into_iter()
        .map(|mut port| {
            let known = built_in(&port.name);
            let state = match port.name.as_str() {
                "sshd" | "ttyd" => AppPhase::Running,
                name if session.services.is_running(name) => AppPhase::Running,
                _ if port.protocol == ServiceProtocol::Preopen => AppPhase::Ready,
                name => phase(session, name, known),
            };
            if let Ok(Some(definition)) = definition(&port.name) {
                let text = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
                port.url_template = Some(definition.url_template).filter(|text| !text.is_empty());
                port.allowed_arguments = text(definition.allowed_arguments);
                port.allowed_envs = text(definition.allowed_envs);
            }
            let title = match port.name.as_str() {
                "sshd" => "SSH",
                "ttyd" => "Terminal",
                other => known.map_or(other, |app| app.title),
            };
            let installer = known
                .filter(|_| state == AppPhase::Missing)
                .map(|app| app.source.installer());
            let there = installer.is_some_and(|program| session.environ.find(program).is_some());
            AppState {
                title: title.to_owned(),
                installable: there,
                needs: installer.filter(|_| !there).map(str::to_owned),
                state,
                port,
            }
        })
        .collect()
}

fn phase(session: &Session, name: &str, known: Option<&BuiltIn>) -> AppPhase {
    let program = match (definition(name), known) {
        (Ok(Some(Definition { noop: true, .. })), _) => return AppPhase::Ready,
        (
            Ok(Some(Definition {
                command: CommandLine::Words(words),
                ..
            })),
            None,
        ) => words.first().cloned(),
        (
            Ok(Some(Definition {
                command: CommandLine::Text(_),
                ..
            })),
            None,
        ) => return AppPhase::Ready,
        (_, Some(app)) => Some(app.program.to_owned()),
        _ => None,
    };
    match program.filter(|program| !program.contains('{')) {
        Some(program) if session.environ.find(&program).is_some() => AppPhase::Ready,
        _ => AppPhase::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_definitions_are_sound() {
        for app in BUILT_IN {
            let definition: Definition = serde_json::from_str(app.definition).unwrap();
            let CommandLine::Words(words) = definition.command else {
                panic!("{} has no argument list", app.name);
            };
            assert_eq!(words[0], app.program);
        }
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        assert!(definition("../../passwd").unwrap().is_none());
    }
}
