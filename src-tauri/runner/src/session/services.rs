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
    runner::{
        ArgumentValue, Fault, FaultKind, LONGEST_START, ServiceAnswer, ServiceOptions,
        StartProgress, launch::RunnerPlan,
    },
    service_port::{ServicePort, ServiceProtocol},
};
use tokio::net::{TcpStream, unix::pipe};

use super::{
    Session,
    apps::{self, CommandLine, Definition},
    children::Children,
    definition::{self, Values},
    starting::Start,
};

/// How long a service may take until its port answers, where nobody wants to wait longer (protocol
/// page "Kernel runner" §5.3).
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// A start that nobody waits for any more is over by then.
const LATE: Duration = Duration::from_secs(2);
/// Pause between two looks at the port.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Services of a session.
pub(super) struct Services {
    ports: HashMap<String, ServicePort>,
    running: Mutex<HashMap<String, Pid>>,
    /// One start at a time for each name: a double click must not start two. The last one stays
    /// when it has failed, for what it said.
    starts: Mutex<HashMap<String, Arc<Start>>>,
}

impl Services {
    pub(super) fn new(plan: &RunnerPlan) -> Self {
        let ports: HashMap<_, _> = plan
            .service_ports
            .iter()
            .map(|port| (port.name.clone(), port.clone()))
            .collect();
        Self {
            ports,
            running: Mutex::default(),
            starts: Mutex::default(),
        }
    }

    fn starts(&self) -> MutexGuard<'_, HashMap<String, Arc<Start>>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Pid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a service was started and has not ended.
    pub(super) fn is_running(&self, name: &str) -> bool {
        self.running().contains_key(name)
    }

    /// How far a service is that is being started, or was to no avail.
    pub(super) fn progress(&self, name: &str) -> Option<StartProgress> {
        let start = self.starts().get(name).cloned();
        start.map(|start| start.progress())
    }

    /// Starts a service, unless it runs. Whoever asks while it is on its way waits for the same
    /// start, which goes on for as long as anybody wants to wait.
    pub(super) async fn start(
        &self,
        session: &Arc<Session>,
        name: &str,
        options: ServiceOptions,
    ) -> ServiceAnswer {
        if matches!(name, "sshd" | "ttyd") {
            return ServiceAnswer::Running;
        }
        let Some(port) = self.ports.get(name) else {
            return failed(format!("unsupported service: {name}"));
        };
        if port.protocol == ServiceProtocol::Preopen {
            return ServiceAnswer::Started;
        }
        let limit = options.limit_s.map_or(LAUNCH_TIMEOUT, |seconds| {
            Duration::from_secs(seconds.into()).min(LONGEST_START)
        });
        let definition = match apps::definition(name) {
            Ok(Some(definition)) => definition,
            Ok(None) => return failed(format!("unsupported service: {name}")),
            Err(error) => return failed(format!("the definition of {name} is wrong: {error}")),
        };
        if definition.noop {
            return ServiceAnswer::Started;
        }
        let (start, first) = {
            let mut starts = self.starts();
            if self.is_running(name) {
                return ServiceAnswer::Running;
            }
            match starts.get(name).filter(|start| !start.is_over()) {
                Some(start) => {
                    start.extend(limit);
                    (start.clone(), false)
                }
                None => {
                    let start = Arc::new(Start::new(limit));
                    starts.insert(name.to_owned(), start.clone());
                    let (session, port) = (session.clone(), port.clone());
                    tokio::spawn(launch(session, port, definition, options, start.clone()));
                    (start, true)
                }
            }
        };
        // Others may wait for longer.
        let outcome = tokio::time::timeout(limit + LATE, start.outcome()).await;
        match outcome.unwrap_or_else(|_| Err(timed_out(name))) {
            Ok(()) if first => ServiceAnswer::Started,
            Ok(()) => ServiceAnswer::Running,
            Err(error) => failed(error),
        }
    }

    /// Ends a service that was started, or is on its way.
    pub(super) fn stop(&self, name: &str) -> Result<(), Fault> {
        let running = self.running().get(name).copied();
        let starting = || self.starts().get(name).and_then(|start| start.group());
        match running.or_else(starting) {
            Some(group) => {
                // It may have ended at this very moment.
                let _ = killpg(group, Signal::SIGTERM);
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
        start: &Arc<Start>,
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
            let (journal, start) = (session.journal.clone(), start.clone());
            tokio::spawn(async move {
                let copied = |bytes: &[u8]| start.tail.push(bytes);
                journal.drain(stream, copied).await;
            });
        }
        start.runs_as(started.pid);
        self.await_port(session, port, started, &program, start)
            .await
    }

    async fn await_port(
        &self,
        session: &Arc<Session>,
        port: &ServicePort,
        started: super::children::Started,
        program: &str,
        start: &Start,
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
            () = start.given_up() => {
                // Nobody will use it any more.
                let _ = killpg(group, Signal::SIGKILL);
                return Err(timed_out(&name));
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

/// Brings a service up, for whoever waits now or comes meanwhile.
async fn launch(
    session: Arc<Session>,
    port: ServicePort,
    definition: Definition,
    options: ServiceOptions,
    start: Arc<Start>,
) {
    let services = &session.services;
    let launched = services
        .launch(&session, &port, &definition, &options, &start)
        .await;
    // Under the lock: whoever looks finds it on its way, running, or failed.
    let mut starts = services.starts();
    if launched.is_ok() {
        starts.remove(&port.name);
    }
    start.end(launched);
}

fn timed_out(name: &str) -> String {
    format!("opening the service port timed out: {name}")
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
