//! What listens inside a session, whether it was announced or not.

use std::collections::BTreeMap;

use tunnel::Service;

use super::services;
use crate::context::Context;
use crate::session::find_running;
use crate::types::{Failure, SessionPort, SessionPortList, SessionRef};

/// Lists sockets that listen, and which program has them: everything that a session's own user
/// may read there, with nothing but a shell.
const LOOK: &str = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; echo ---; \
    for f in /proc/[0-9]*/fd/*; do l=$(readlink \"$f\" 2>/dev/null) || continue; \
    case $l in socket:*) p=${f#/proc/}; p=${p%%/*}; c=; read -r c 2>/dev/null </proc/$p/comm; \
    case $c in python*) if grep -q ipykernel /proc/$p/cmdline 2>/dev/null; then \
    r=$(cut -d' ' -f4 /proc/$p/stat); d=; read -r d 2>/dev/null </proc/$r/comm; \
    case $d in backend.ai*) c=$d;; esac; fi;; esac; \
    echo \"$l $c\";; esac; done";
/// The state of a socket that listens, in the kernel's table.
const LISTEN: &str = "0A";

/// Ports of the session itself that nobody wants a tunnel to: its runner's own services.
const OWN: [&str; 2] = ["sshd", "ttyd"];
/// How the runner of a Backend.AI cluster calls itself; what it has started to run code with is
/// called so too.
const RUNNER: &str = "backend.ai";

pub(crate) async fn list(
    context: &Context,
    request: SessionRef,
) -> Result<SessionPortList, Failure> {
    let profile = context.profile_name()?;
    let client = context.client_of(&profile).await?;
    let row = find_running(&client, &request.session).await?;
    let link = context
        .links()
        .connect(context, &client, row.session_id)
        .await?;
    let output = link.exec(LOOK).await?;
    let announced = services(&row);
    let id = row.session_id.to_string();
    let tunnels: Vec<tunnel::Tunnel> = context
        .proxy()?
        .tunnels()
        .list()
        .into_iter()
        .filter(|tunnel| tunnel.target.profile == profile && tunnel.target.session == id)
        .collect();
    let ports = listening(&String::from_utf8_lossy(&output.stdout))
        .into_iter()
        .filter(|(_, program)| !program.as_deref().is_some_and(|it| it.starts_with(RUNNER)))
        .map(|(port, program)| {
            let app = announced
                .iter()
                .find(|known| known.ports.contains(&port))
                .map(|known| known.name.clone());
            let tunnel = tunnels.iter().find(|tunnel| match &tunnel.target.service {
                Service::Port { port: theirs } => *theirs == port,
                Service::App {
                    name, port: None, ..
                } => app.as_ref() == Some(name),
                Service::App { port: theirs, .. } => *theirs == Some(port),
            });
            SessionPort {
                port,
                tunnel_id: tunnel.map(|tunnel| tunnel.id.clone()),
                app,
                program,
            }
        })
        .filter(|port| port.app.as_deref().is_none_or(|app| !OWN.contains(&app)))
        .collect();
    Ok(SessionPortList { ports })
}

/// The ports in what [`LOOK`] printed, with the program where it could be seen.
fn listening(text: &str) -> BTreeMap<u16, Option<String>> {
    let (table, holders) = text.split_once("---\n").unwrap_or((text, ""));
    let programs: BTreeMap<&str, &str> = holders
        .lines()
        .filter_map(|line| {
            let (socket, program) = line.split_once(' ')?;
            let inode = socket.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some((inode, program))
        })
        .collect();
    let mut ports = BTreeMap::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields.as_slice() else {
            continue;
        };
        let port = local
            .rsplit_once(':')
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        if let Some(port) = port {
            let program = programs.get(inode).map(|program| (*program).to_owned());
            let known: &mut Option<String> = ports.entry(port).or_default();
            *known = known.take().or(program);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_found_with_their_programs() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n   \
            1: 0100007F:1F41 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 100 0 0 10 0\n   \
            2: 00000000000000000000000000000000:1F42 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4244 1 0 100 0 0 10 0\n\
            ---\nsocket:[4242] python3\nsocket:[9] other\nnonsense\n";
        let found = listening(text);
        let wanted = [(8000, Some("python3".to_owned())), (8002, None)];
        assert_eq!(found, BTreeMap::from(wanted));
        assert!(listening("").is_empty() && listening("---\n").is_empty());
    }
}
