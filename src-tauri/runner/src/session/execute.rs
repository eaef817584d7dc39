//! Runs commands for the engine and streams what they print.

use std::{
    collections::HashMap,
    io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use protocol::runner::{Answer, Execute, ExecuteCode, Fault, FaultKind, Output};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::pipe},
    sync::mpsc,
};

use super::{Session, children::Children, environ, frame};

/// How long a command that has ended may stay silent before its output counts as complete.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// Runs at the moment, by the engine's name for them.
#[derive(Default)]
pub(super) struct Runs(Mutex<HashMap<String, Pid>>);

impl Runs {
    /// Sends SIGINT to one run or to all.
    pub(super) fn interrupt(&self, run_id: Option<&str>) -> Result<(), Fault> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let groups: Vec<Pid> = match run_id {
            None => runs.values().copied().collect(),
            Some(run_id) => runs.get(run_id).copied().into_iter().collect(),
        };
        if groups.is_empty() {
            return Err(Fault {
                kind: FaultKind::NotFound,
                message: "nothing runs that could be interrupted".to_owned(),
            });
        }
        for group in groups {
            // It may have ended at this very moment.
            let _ = killpg(group, Signal::SIGINT);
        }
        Ok(())
    }
}

/// Runs one command; when the engine hangs up, the command is killed.
pub(super) async fn run(
    mut stream: UnixStream,
    session: &Arc<Session>,
    order: Execute,
) -> io::Result<()> {
    let mut started = match start(session, &order) {
        Ok(started) => started,
        Err(error) => {
            let fault = Fault {
                kind: FaultKind::Other,
                message: error.to_string(),
            };
            return frame::write(&mut stream, &Answer::Failed(fault)).await;
        }
    };
    let group = started.pid;
    let mut registered = Registered::new(session.clone(), order.run_id, group);
    let (tell, mut told) = mpsc::channel(16);
    if let Some(stdin) = started.child.stdin.take() {
        let text = order.stdin.unwrap_or_default();
        let mut stdin = pipe::Sender::from_owned_fd(stdin.into())?;
        // A program that does not read its input closes it; that is its own affair.
        tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
    }
    let journal = order.log.then(|| session.journal.clone());
    if let Some(stdout) = started.child.stdout.take() {
        let stdout = pipe::Receiver::from_owned_fd(stdout.into())?;
        tokio::spawn(read(stdout, tell.clone(), journal.clone(), |text| {
            Output::Stdout { text }
        }));
    }
    if let Some(stderr) = started.child.stderr.take() {
        let stderr = pipe::Receiver::from_owned_fd(stderr.into())?;
        tokio::spawn(read(stderr, tell.clone(), journal, |text| Output::Stderr {
            text,
        }));
    }
    drop(tell);
    let mut hung_up = [0];
    let mut exit_code = None;
    loop {
        // What the command left running may hold its output open for ever.
        let silence = async {
            match exit_code {
                Some(_) => tokio::time::sleep(LAST_WORDS).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            output = told.recv() => match output {
                Some(output) => frame::write(&mut stream, &Answer::Output(output)).await?,
                None => break,
            },
            status = &mut started.exit, if exit_code.is_none() => {
                exit_code = Some(status.map_or(-1, ssh::server::ExitStatus::code));
            }
            () = silence => break,
            // The engine says nothing more on this connection: anything readable is its end.
            _ = stream.read(&mut hung_up) => return Ok(()),
        }
    }
    let exit_code = match exit_code {
        Some(code) => code,
        None => started.exit.await.map_or(-1, ssh::server::ExitStatus::code),
    };
    registered.attended = false;
    frame::write(&mut stream, &Answer::Output(Output::Finished { exit_code })).await
}

fn start(session: &Session, order: &Execute) -> io::Result<super::children::Started> {
    let mut command = match &order.code {
        ExecuteCode::Shell(text) => {
            let mut command = Children::command(environ::shell(), None);
            command.arg("-c").arg(text);
            command
        }
        ExecuteCode::Python(text) => {
            let mut command = Children::command("python3", None);
            command.arg("-u").arg("-c").arg(text);
            command
        }
        ExecuteCode::Argv(words) => {
            let program = words
                .first()
                .ok_or_else(|| io::Error::other("no program was named"))?;
            let mut command = Children::command(program, None);
            command.args(&words[1..]);
            command
        }
    };
    command.envs(session.environ.iter());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    session.children.spawn(&mut command)
}

/// Sends what a stream says, never cutting a character in two.
async fn read(
    mut from: impl AsyncRead + Unpin,
    tell: mpsc::Sender<Output>,
    journal: Option<Arc<super::Journal>>,
    wrap: fn(String) -> Output,
) {
    let mut held = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if let Some(journal) = &journal {
            journal.write(&buffer[..read]);
        }
        held.extend_from_slice(&buffer[..read]);
        let whole = if read == 0 {
            held.len()
        } else {
            whole_characters(&held)
        };
        let text = String::from_utf8_lossy(&held[..whole]).into_owned();
        held.drain(..whole);
        if (!text.is_empty() && tell.send(wrap(text)).await.is_err()) || read == 0 {
            return;
        }
    }
}

/// How many bytes from the start end with a whole character, or can't become one.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => {
            // Something in the middle is no text; only the last three bytes can be a beginning.
            let tail = bytes.len().saturating_sub(3);
            (tail..bytes.len())
                .find(|start| {
                    std::str::from_utf8(&bytes[*start..])
                        .is_err_and(|error| error.error_len().is_none() && error.valid_up_to() == 0)
                })
                .unwrap_or(bytes.len())
        }
    }
}

/// Keeps a run in the list for as long as it is attended; one that is left before its end is killed.
struct Registered {
    session: Arc<Session>,
    run_id: String,
    group: Pid,
    attended: bool,
}

impl Registered {
    fn new(session: Arc<Session>, run_id: String, group: Pid) -> Self {
        session
            .runs
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run_id.clone(), group);
        Self {
            session,
            run_id,
            group,
            attended: true,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.session
            .runs
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.run_id);
        if self.attended {
            // It may have ended at this very moment.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn characters_are_not_cut() {
        let text = "a한".as_bytes();
        assert_eq!(whole_characters(text), 4);
        assert_eq!(whole_characters(&text[..3]), 1);
        assert_eq!(whole_characters(&[b'a', 0xff, b'b']), 3);
        assert_eq!(whole_characters(&[0xff, b'b', 0xed, 0x95]), 2);
    }
}
