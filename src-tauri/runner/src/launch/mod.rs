//! Makes the sandbox. Two processes, both single-threaded:
//!
//! * the *supervisor* ([`supervise`]) stays outside as the session's outermost process. Started by
//!   root it collects what the sandbox needs in a mount namespace of its own, becomes the session's
//!   host user, starts the network, and in the end notes how the session ended. It is not tied to
//!   the engine: sessions outlive it.
//! * [`enter`] joins the control groups, becomes the session's user, makes the user and network
//!   namespaces (of a cluster's further kernels: joins the first one's user namespace) and turns
//!   into bubblewrap. It dies with the supervisor, and the sandbox with it. Where an image's files
//!   have several owners it stays, as what holds the namespaces, and bubblewrap is its child.

mod arguments;
mod enter;
pub(crate) mod ids;
mod link;
mod network;
mod overlay;
mod probe;
mod source;
mod stage;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            net::UnixListener,
            process::ExitStatusExt,
        },
    },
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use protocol::runner::ids::IdPlan;
use protocol::runner::launch::{ExitNote, LaunchEvent, LaunchPlan, Layer, Network};

use crate::fds::{keep_over_exec, memory_file};

pub(crate) use enter::{enter, make_user_namespace, try_overlay};
pub(crate) use ids::nest;
pub(crate) use probe::probe;

/// Why no sandbox came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// An operating system call failed.
    #[error("{doing}: {source}")]
    Os {
        doing: String,
        #[source]
        source: io::Error,
    },
    /// The plan can't be read.
    #[error("the plan is not understood: {0}")]
    Plan(#[from] serde_json::Error),
}

pub(crate) trait Doing<T> {
    /// Says what was being done when it failed.
    fn doing(self, what: impl Into<String>) -> Result<T, LaunchError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|source| LaunchError::Os {
            doing: what.into(),
            source: source.into(),
        })
    }
}

/// Runs a session to its end, as described by the plan on standard input.
pub(crate) fn supervise() -> Result<ExitCode, Box<dyn std::error::Error>> {
    match attempt() {
        Ok(code) => Ok(code),
        Err(error) => {
            say(&LaunchEvent::Failed {
                reason: error.to_string(),
            });
            Err(Box::new(error))
        }
    }
}

fn attempt() -> Result<ExitCode, LaunchError> {
    crate::fds::seal().doing("keep descriptors to ourselves")?;
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .doing("read the plan")?;
    let plan: LaunchPlan = serde_json::from_str(&text)?;
    nix::unistd::setsid().doing("leave the engine's process group")?;

    if let Some(group) = &plan.supervisor_cgroup {
        // Where it is refused the session still runs, only less independently.
        let _ = std::fs::write(group, "0");
    }

    let control = UnixListener::bind(&plan.control_socket).doing("make the control socket")?;
    std::fs::set_permissions(&plan.control_socket, std::fs::Permissions::from_mode(0o600))
        .doing("protect the control socket")?;
    say(&LaunchEvent::Listening);
    let exit_file = private_file(&plan.exit_file)?;
    let logs = [private_file(&plan.logs[0])?, private_file(&plan.logs[1])?];

    // Whatever is opened by name is opened before the staging area hides what lies below it.
    let mut seccomp = Vec::new();
    for path in &plan.seccomp {
        seccomp.push(File::open(path).doing("open the system call filter")?);
    }
    let (layout, sources) = match plan.become_user {
        Some(_) => (stage::collect(&plan)?, Vec::new()),
        None if plan.bind_fd => (plan.layout.clone(), source::open_private(&plan.layout)?),
        None => (plan.layout.clone(), Vec::new()),
    };
    let (ready, announce) = io::pipe().doing("make a pipe")?;
    let mut sandbox = start_sandbox(
        &plan, &layout, &sources, &control, &logs, &exit_file, &seccomp, announce,
    )?;
    drop((control, logs, sources));
    say(&LaunchEvent::Started {
        sandbox_pid: sandbox.id(),
    });
    become_user(plan.become_user)?;
    let pasta = network::start(&plan.network, &sandbox, ready);
    match &pasta {
        Ok(pasta) => say(&LaunchEvent::Network {
            pid: pasta.as_ref().map(Child::id),
            failure: None,
        }),
        Err(error) => say(&LaunchEvent::Network {
            pid: None,
            failure: Some(error.to_string()),
        }),
    }
    let _ = close_stdout();

    let status = sandbox.wait().doing("wait for the sandbox")?;
    if let Ok(Some(mut pasta)) = pasta {
        // It may have ended with the namespace already.
        let _ = pasta.kill();
        let _ = pasta.wait();
    }
    note_exit(exit_file, status).doing("note how the session ended")?;
    Ok(ExitCode::SUCCESS)
}

fn say(event: &LaunchEvent) {
    if let Ok(line) = serde_json::to_string(event) {
        let mut out = io::stdout().lock();
        // An engine that is gone can't be told; the session goes on all the same.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

/// The engine reads events until the end of file, so standard output must not stay open.
fn close_stdout() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(null)?;
    Ok(())
}

fn private_file(path: &std::path::Path) -> Result<File, LaunchError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .doing(format!("open {}", path.display()))
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is another open file that passes on"
)]
fn start_sandbox(
    plan: &LaunchPlan,
    layout: &[Layer],
    sources: &[Option<File>],
    control: &UnixListener,
    logs: &[File; 2],
    exit_file: &File,
    seccomp: &[File],
    announce: io::PipeWriter,
) -> Result<Child, LaunchError> {
    let runner_plan =
        memory_file("session", &serde_json::to_vec(&plan.runner)?).doing("pass the plan on")?;
    let mut numbers = Vec::new();
    for fd in [
        control.as_fd(),
        logs[0].as_fd(),
        logs[1].as_fd(),
        exit_file.as_fd(),
        runner_plan.as_fd(),
    ] {
        numbers.push(keep_over_exec(fd).doing("pass a descriptor on")?);
    }
    let mut filters = Vec::new();
    for file in seccomp {
        filters.push(keep_over_exec(file).doing("pass a descriptor on")?);
    }
    let mut opened = Vec::new();
    for source in sources {
        opened.push(match source {
            Some(file) => Some(keep_over_exec(file).doing("pass a descriptor on")?),
            None => None,
        });
    }
    let user = match plan.ids {
        Some(_) => arguments::User::OfSeveral,
        None => arguments::User::Alone,
    };
    let arguments = arguments::bubblewrap(layout, &opened, &plan.hostname, &filters, user);
    let arguments = memory_file("arguments", &arguments).doing("pass the arguments on")?;
    // The further kernels of a cluster join a namespace that has its ids.
    let joins = plan.cluster.is_some_and(|link| link.main.is_some());
    let told = match &plan.ids {
        Some(_) if !joins => Some(ids::handshake().doing("make a pipe")?),
        _ => None,
    };
    let orders = enter::Orders {
        become_user: plan.become_user,
        ids: plan.ids.clone(),
        map: match &told {
            Some((_, waiting)) => Some(waiting.pass_on().doing("pass a descriptor on")?),
            None => None,
        },
        cgroups: plan.cgroups.clone(),
        bubblewrap: plan.bubblewrap.clone(),
        arguments: keep_over_exec(&arguments).doing("pass a descriptor on")?,
        announce: keep_over_exec(&announce).doing("pass a descriptor on")?,
        session: numbers,
        process_limit: plan.process_limit,
        has_network: !matches!(plan.network, Network::None),
        overlays: overlays(layout, plan.ids.as_ref()),
        cluster: plan.cluster,
    };
    let orders =
        memory_file("orders", &serde_json::to_vec(&orders)?).doing("pass the orders on")?;
    let number = keep_over_exec(&orders).doing("pass a descriptor on")?;
    // What the sandbox prints goes where this process's complaints go: into the launch log.
    let out = io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .doing("share the log")?;
    let mut sandbox = Command::new("/proc/self/exe")
        .arg("enter")
        .arg(number.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(out)
        .spawn()
        .doing("start the sandbox")?;
    if let (Some(ids), Some((mapping, waiting))) = (&plan.ids, told) {
        drop(waiting);
        if let Err(error) = mapping.write(&sandbox, &ids::outer(ids)) {
            let _ = sandbox.kill();
            let _ = sandbox.wait();
            return Err(error);
        }
    }
    Ok(sandbox)
}

/// What the sandbox puts together before bubblewrap begins.
fn overlays(layout: &[Layer], ids: Option<&IdPlan>) -> Vec<overlay::Order> {
    let root = ids.and_then(ids::root);
    let order = |layer: &Layer| match layer {
        Layer::Overlay { lower, area, .. } => Some(overlay::Order {
            lower: lower.clone(),
            area: area.clone(),
            root,
        }),
        _ => None,
    };
    layout.iter().filter_map(order).collect()
}

/// Becomes the session's host user for good.
pub(crate) fn become_user(user: Option<(u32, u32)>) -> Result<(), LaunchError> {
    let Some((uid, gid)) = user else {
        return Ok(());
    };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[]).doing("drop groups")?;
    setresgid(gid, gid, gid).doing("become the session's group")?;
    setresuid(uid, uid, uid).doing("become the session's user")?;
    if Uid::current().is_root()
        || Uid::effective().is_root()
        || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok()
    {
        return Err(io::Error::other("root could be had again")).doing("become the session's user");
    }
    // Changing users makes a process's /proc files root's; the uid map is written through them.
    nix::sys::prctl::set_dumpable(true).doing("own /proc/self")
}

fn note_exit(mut file: File, status: ExitStatus) -> io::Result<()> {
    if file.metadata()?.len() > 0 {
        return Ok(());
    }
    let reason = match (status.code(), status.signal()) {
        (Some(137), _) | (_, Some(9)) => "the session was killed".to_owned(),
        (Some(code), _) => format!("the runner ended with code {code}"),
        (None, Some(signal)) => format!("the sandbox was ended by signal {signal}"),
        (None, None) => "the sandbox ended".to_owned(),
    };
    let note = serde_json::to_vec(&ExitNote::Lost { reason })?;
    file.write_all(&note)
}
