//! Starts services on request and waits until their ports answer.

use std::{
    collections::{BTreeMap, HashMap},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use protocol::{
    runner::{ArgumentValue, Fault, FaultKind, ServiceAnswer, ServiceOptions, launch::RunnerPlan},
    service_port::{ServicePort, ServiceProtocol},
};
use tokio::net::{TcpStream, unix::pipe};

use super::{
    Session,
    apps::{self, CommandLine, Definition},
    children::Children,
    definition::{self, Values},
};

/// How long a service may take until its port answers (protocol page "Kernel runner" §5.3).
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two looks at the port.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Services of a session.
pub(super) struct Services {
    ports: HashMap<String, ServicePort>,
    running: Mutex<HashMap<String, Pid>>,
    /// One start at a time for each name: a double click must not start two.
    starting: HashMap<String, tokio::sync::Mutex<()>>,
}

impl Services {
    pub(super) fn new(plan: &RunnerPlan) -> Self {
        let ports: HashMap<_, _> = plan
            .service_ports
            .iter()
            .map(|port| (port.name.clone(), port.clone()))
            .collect();
        Self {
            starting: ports
                .keys()
                .map(|name| (name.clone(), tokio::sync::Mutex::default()))
                .collect(),
            ports,
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Pid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a service was started and has not ended.
    pub(super) fn is_running(&self, name: &str) -> bool {
        self.running().contains_key(name)
    }

    /// Starts a service, unless it runs.
    pub(super) async fn start(
        &self,
        session: &Arc<Session>,
        name: &str,
        options: ServiceOptions,
    ) -> ServiceAnswer {
        if matches!(name, "sshd" | "ttyd") {
            return ServiceAnswer::Running;
        }
        let (Some(port), Some(turn)) = (self.ports.get(name), self.starting.get(name)) else {
            return failed(format!("unsupported service: {name}"));
        };
        if port.protocol == ServiceProtocol::Preopen {
            return ServiceAnswer::Started;
        }
        let _turn = turn.lock().await;
        if self.is_running(name) {
            return ServiceAnswer::Running;
        }
        let definition = match apps::definition(name) {
            Ok(Some(definition)) => definition,
            Ok(None) => return failed(format!("unsupported service: {name}")),
            Err(error) => return failed(format!("the definition of {name} is wrong: {error}")),
        };
        if definition.noop {
            return ServiceAnswer::Started;
        }
        match self.launch(session, port, &definition, &options).await {
            Ok(()) => ServiceAnswer::Started,
            Err(error) => failed(error),
        }
    }

    /// Ends a service that was started.
    pub(super) fn stop(&self, name: &str) -> Result<(), Fault> {
        match self.running().get(name) {
            Some(group) => {
                // It may have ended at this very moment.
                let _ = killpg(*group, Signal::SIGTERM);
                Ok(())
            }
            None => Err(Fault {
                kind: FaultKind::NotFound,
                message: format!("{name} does not run"),
            }),
        }
    }

    async fn launch(
        &self,
        session: &Arc<Session>,
        port: &ServicePort,
        definition: &Definition,
        options: &ServiceOptions,
    ) -> Result<(), String> {
        let mut values = Values::new(port, session.environ.find("python3"));
        let mut environ = BTreeMap::new();
        definition::prestart(session, definition, &mut values).await?;
        for (name, text) in &definition.env {
            environ.insert(values.fill(name)?, values.fill(text)?);
        }
        for (name, value) in &options.envs {
            if !definition.allowed_envs.contains(name) || session.environ.contains(name) {
                return Err(format!("DisallowedEnvironment: {name}"));
            }
            environ.insert(name.clone(), value.clone());
        }
        let mut words = words(definition, &values)?;
        words.extend(arguments(definition, options)?);
        let program = words.first().cloned().unwrap_or_default();
        let Some(path) = session.environ.find(&program) else {
            return Err(format!("the executable file is not found: {program}"));
        };
        let mut command = Children::command(path, None);
        command
            .args(&words[1..])
            .envs(session.environ.iter())
            .envs(&environ);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut started = session
            .children
            .spawn(&mut command)
            .map_err(|error| error.to_string())?;
        session
            .journal
            .write(format!("[{}] {}\n", port.name, words.join(" ")).as_bytes());
        let streams = [
            started.child.stdout.take().map(std::os::fd::OwnedFd::from),
            started.child.stderr.take().map(std::os::fd::OwnedFd::from),
        ];
        for stream in streams.into_iter().flatten() {
            let stream =
                pipe::Receiver::from_owned_fd(stream).map_err(|error| error.to_string())?;
            let journal = session.journal.clone();
            tokio::spawn(async move { journal.drain(stream).await });
        }
        self.await_port(session, port, started, &program).await
    }

    async fn await_port(
        &self,
        session: &Arc<Session>,
        port: &ServicePort,
        started: super::children::Started,
        program: &str,
    ) -> Result<(), String> {
        let name = port.name.clone();
        let group = started.pid;
        let mut exit = started.exit;
        let answers = async {
            while !answers(port.ports.first().copied().unwrap_or_default()).await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = answers => {}
            _ = &mut exit => return Err(format!("the process did not start properly: {program}")),
            () = tokio::time::sleep(LAUNCH_TIMEOUT) => {
                // Nobody will use it any more.
                let _ = killpg(group, Signal::SIGKILL);
                return Err(format!("opening the service port timed out: {name}"));
            }
        }
        self.running().insert(name.clone(), group);
        let session = session.clone();
        tokio::spawn(async move {
            // However it ended, it runs no more.
            let _ = exit.await;
            session.services.running().remove(&name);
        });
        Ok(())
    }
}

fn failed(error: String) -> ServiceAnswer {
    ServiceAnswer::Failed { error }
}

async fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        || TcpStream::connect(("::1", port)).await.is_ok()
}

fn words(definition: &Definition, values: &Values) -> Result<Vec<String>, String> {
    match (&definition.command, definition.shell.as_deref()) {
        (CommandLine::Words(words), _) => words.iter().map(|word| values.fill(word)).collect(),
        (CommandLine::Text(text), Some(shell)) if !shell.is_empty() => {
            Ok(vec![shell.to_owned(), "-c".to_owned(), values.fill(text)?])
        }
        (CommandLine::Text(text), _) => text
            .split_whitespace()
            .map(|word| values.fill(word))
            .collect(),
    }
}

fn arguments(definition: &Definition, options: &ServiceOptions) -> Result<Vec<String>, String> {
    let mut merged = definition.default_arguments.clone();
    for (name, value) in &options.arguments {
        if !definition.allowed_arguments.contains(name) {
            return Err(format!("DisallowedArgument: {name}"));
        }
        merged.insert(name.clone(), value.clone());
    }
    let mut words = Vec::new();
    for (name, value) in merged {
        words.push(name);
        match value {
            None => {}
            Some(ArgumentValue::One(text)) => words.push(text),
            Some(ArgumentValue::Many(texts)) => words.extend(texts),
        }
    }
    Ok(words)
}
