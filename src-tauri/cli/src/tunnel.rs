//! `gangway tunnel` and `gangway proxy`.

use clap::{Subcommand, ValueEnum};
use commands::types::{
    AtLoginState, FailedLaunch, FailedLaunchList, Failure, FailureCode, Nothing, ProxyStatus,
    SessionPort, SessionPortList, SessionRef, SetTunnelsAtLogin, Tunnel, TunnelKeep, TunnelList,
    TunnelOpen, TunnelProtocol, TunnelPublic, TunnelRef, TunnelReport, TunnelsAtLogin,
};

use crate::Program;
use crate::account::word;
use crate::output::{grid, line, pairs, size};

#[derive(Debug, Subcommand)]
pub(crate) enum TunnelVerb {
    /// Open one, and keep it open until Ctrl-C
    Open {
        /// Name or id of the session, or a start of one
        session: String,
        /// Port in the session, or the name of an app
        target: String,
        /// Port of this computer; the session's own stable one when absent
        #[arg(long, value_name = "[127.0.0.1:]PORT", value_parser = local_port)]
        local: Option<u16>,
        /// Treat it as a web app: only this computer's own pages get through
        #[arg(long)]
        http: bool,
        /// Let anyone on your network use it, who is then inside the session
        #[arg(long)]
        public: bool,
        /// Let only this network or address in (192.168.1.0/24); may be given several times
        #[arg(long, value_name = "NETWORK", requires = "public")]
        allow: Vec<String>,
        /// Return at once; the tunnel stays
        #[arg(long)]
        background: bool,
        /// Bring it back after a restart of the program
        #[arg(long, requires = "background")]
        keep: bool,
    },
    /// List them
    Ls,
    /// List the ports on which something listens in a session
    Ports {
        /// Name or id of the session, or a start of one
        session: String,
    },
    /// Print what is known of a tunnel's failures or of one failed launch, to be given to somebody
    /// who can help
    Report {
        /// Id or local port, from `tunnel ls`, or an id from `tunnel failures`
        tunnel: String,
    },
    /// List launches of apps and connections through tunnels that came to nothing
    Failures {
        /// Forget them
        #[arg(long)]
        forget: bool,
    },
    /// Bring one back after each restart, or no more
    Keep {
        /// Id or local port, from `tunnel ls`
        tunnel: String,
        /// No more
        #[arg(long)]
        off: bool,
    },
    /// Bring them back when you log in to this computer, also after a restart (off by default)
    AtLogin {
        /// Show it when absent
        switch: Option<Switch>,
    },
    /// Close them
    Close {
        /// Ids or local ports, from `tunnel ls`
        #[arg(required_unless_present = "all")]
        tunnels: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProxyVerb {
    /// Run it in the foreground; ends by itself when it is idle
    Run,
    /// Show whether it runs
    Status,
    /// End it; only kept tunnels and unfinished transfers come back
    Stop,
}

pub(crate) async fn run(program: &Program, verb: TunnelVerb) -> Result<(), Failure> {
    match verb {
        TunnelVerb::Open {
            session,
            target,
            local,
            http,
            public,
            allow,
            background,
            keep,
        } => {
            let (app, remote_port) = match target.parse::<u16>() {
                Ok(port) if port > 0 => (None, Some(port)),
                Err(_) if !target.bytes().all(|one| one.is_ascii_digit()) => (Some(target), None),
                _ => {
                    let message = format!("{target} is no port; ports go from 1 to 65535");
                    return Err(Failure::new(FailureCode::InvalidInput, message));
                }
            };
            let request = TunnelOpen {
                session,
                app,
                remote_port,
                local_port: local,
                keep,
                protocol: http.then_some(TunnelProtocol::Http),
                public: public.then_some(TunnelPublic {
                    allow,
                    understood: true,
                }),
                guarded: false,
            };
            if public {
                let warning = "Others on your network get into the session through this port.";
                program.output.note(warning);
            }
            let tunnel: Tunnel = program.table.ask("tunnel.open", &request).await?;
            program.output.answer(&tunnel, |tunnel| match &tunnel.url {
                Some(url) => url.clone(),
                None => format!("127.0.0.1:{}", tunnel.local_port),
            });
            if !background {
                program.output.note("Press Ctrl-C to close the tunnel.");
                let waited = tokio::signal::ctrl_c().await;
                waited.map_err(|error| Failure::new(FailureCode::Internal, error))?;
                let request = TunnelRef { id: tunnel.id };
                let _: Nothing = program.table.ask("tunnel.close", &request).await?;
            }
        }
        TunnelVerb::Ls => {
            let list: TunnelList = program.table.ask("tunnel.list", &Nothing {}).await?;
            program.output.answer(&list, |list| {
                grid(
                    [
                        "ID", "SESSION", "APP", "LOCAL", "STATE", "OPEN", "SENT", "RECEIVED",
                    ],
                    list.tunnels.iter().map(row),
                )
            });
            if !list.tunnels.is_empty() {
                offer(program).await?;
            }
        }
        TunnelVerb::Ports { session } => {
            let request = SessionRef { session };
            let list: SessionPortList = program.table.ask("tunnel.ports", &request).await?;
            program.output.answer(&list, |list| {
                let row = |port: &SessionPort| {
                    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
                    [
                        port.port.to_string(),
                        or_none(&port.app),
                        or_none(&port.program),
                        or_none(&port.tunnel_id),
                    ]
                };
                grid(
                    ["PORT", "APP", "PROGRAM", "TUNNEL"],
                    list.ports.iter().map(row),
                )
            });
        }
        TunnelVerb::Report { tunnel } => {
            let id = find(program, tunnel).await?;
            let report: TunnelReport = program
                .table
                .ask("tunnel.report", &TunnelRef { id })
                .await?;
            program.output.answer(&report, |report| report.text.clone());
        }
        TunnelVerb::Failures { forget } => failures(program, forget).await?,
        TunnelVerb::Keep { tunnel, off } => {
            let id = find(program, tunnel).await?;
            let request = TunnelKeep { id, keep: !off };
            let tunnel: Tunnel = program.table.ask("tunnel.keep", &request).await?;
            program.output.answer(&tunnel, |_| String::new());
        }
        TunnelVerb::AtLogin { switch } => at_login(program, switch).await?,
        TunnelVerb::Close { all: true, .. } => {
            let done: Nothing = program.table.ask("tunnel.close_all", &Nothing {}).await?;
            program.output.answer(&done, |_| String::new());
        }
        TunnelVerb::Close { tunnels, .. } => {
            for named in tunnels {
                let id = find(program, named).await?;
                let _: Nothing = program.table.ask("tunnel.close", &TunnelRef { id }).await?;
            }
            program.output.answer(&Nothing {}, |_| String::new());
        }
    }
    Ok(())
}

async fn failures(program: &Program, forget: bool) -> Result<(), Failure> {
    let command = match forget {
        true => "tunnel.forget_failures",
        false => "tunnel.failures",
    };
    let list: FailedLaunchList = program.table.ask(command, &Nothing {}).await?;
    program.output.answer(&list, |list| {
        let row = |launch: &FailedLaunch| {
            [
                launch.id.clone(),
                launch.failed_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                launch.session_name.clone(),
                launch.app.clone(),
                launch.hop.clone(),
                launch.message.clone(),
            ]
        };
        grid(
            ["ID", "FAILED", "SESSION", "APP", "HOP", "WHY"],
            list.launches.iter().map(row),
        )
    });
    Ok(())
}

/// Until the user has said yes or no, whoever looks at tunnels learns that there is a choice.
async fn offer(program: &Program) -> Result<(), Failure> {
    let shown: TunnelsAtLogin = program.table.ask("tunnel.at_login", &Nothing {}).await?;
    if shown.supported && shown.wanted.is_none() {
        program.output.note(
            "After a restart of this computer they come back when Gangway is started. \
             `gangway tunnel at-login on` brings them back when you log in; `off` ends this note.",
        );
    }
    Ok(())
}

async fn at_login(program: &Program, switch: Option<Switch>) -> Result<(), Failure> {
    let shown: TunnelsAtLogin = match switch {
        None => program.table.ask("tunnel.at_login", &Nothing {}).await?,
        Some(switch) => {
            let wanted = switch == Switch::On;
            let request = SetTunnelsAtLogin { wanted };
            program.table.ask("tunnel.set_at_login", &request).await?
        }
    };
    program.output.answer(&shown, |shown| {
        if !shown.supported {
            return "Bringing tunnels back at login is not supported on this system yet."
                .to_owned();
        }
        let wanted = match shown.wanted {
            Some(true) => "on",
            Some(false) => "off",
            None => "off (nobody has switched it on)",
        };
        let file = match shown.state {
            AtLoginState::Absent => "not there",
            AtLoginState::Ours => "there",
            AtLoginState::SwitchedOff => "switched off in the settings of the desktop",
            AtLoginState::Foreign => "somebody else's, and left alone",
        };
        pairs([
            ("Tunnels at login", wanted.to_owned()),
            ("File", shown.entry.clone()),
            ("It is", file.to_owned()),
        ])
    });
    Ok(())
}

/// The id of a tunnel that may be named by its local port.
async fn find(program: &Program, named: String) -> Result<String, Failure> {
    let list: TunnelList = program.table.ask("tunnel.list", &Nothing {}).await?;
    let port: Option<u16> = named.parse().ok();
    let known = list
        .tunnels
        .iter()
        .find(|tunnel| tunnel.id == named || Some(tunnel.local_port) == port);
    Ok(known.map_or(named, |tunnel| tunnel.id.clone()))
}

fn row(tunnel: &Tunnel) -> [String; 8] {
    [
        tunnel.id.clone(),
        tunnel.session_name.clone(),
        tunnel.app.clone(),
        format!("127.0.0.1:{}", tunnel.local_port),
        word(&tunnel.state),
        tunnel.connections.to_string(),
        size(tunnel.bytes_up),
        size(tunnel.bytes_down),
    ]
}

pub(crate) async fn proxy(program: &Program, verb: ProxyVerb) -> Result<(), Failure> {
    match verb {
        // Whoever started it waits for this line.
        ProxyVerb::Run => return program.table.run_proxy(Box::new(|| line("ready"))).await,
        ProxyVerb::Status => {}
        ProxyVerb::Stop => program.table.stop_proxy().await?,
    }
    let status: ProxyStatus = program.table.ask("proxy.status", &Nothing {}).await?;
    program.output.answer(&status, |status| {
        if !status.running {
            return "No process owns tunnels or transfers.".to_owned();
        }
        pairs([
            (
                "Process",
                status.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            ),
            ("Program", status.holder.clone().unwrap_or_default()),
            (
                "Since",
                status
                    .since
                    .map(|since| since.to_string())
                    .unwrap_or_default(),
            ),
        ])
    });
    Ok(())
}

/// Only this computer may connect, so the only address that may be named is its own.
fn local_port(text: &str) -> Result<u16, String> {
    let port = match text.rsplit_once(':') {
        Some(("127.0.0.1" | "localhost" | "", port)) => port,
        Some((address, _)) => {
            return Err(format!(
                "tunnels listen on 127.0.0.1 only, not on {address}"
            ));
        }
        None => text,
    };
    port.parse()
        .map_err(|_| format!("\"{port}\" is not a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_listen_on_this_computer_only() {
        assert_eq!(local_port("8080"), Ok(8080));
        assert_eq!(local_port("127.0.0.1:8080"), Ok(8080));
        assert!(local_port("0.0.0.0:8080").is_err());
        assert!(local_port("99999").is_err());
    }
}
