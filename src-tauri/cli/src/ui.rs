//! `gangway ui`: the whole user interface in the user's own browser, served on loopback. Only the
//! browser that was given the one-time token may use it; other pages and other users may not.

mod guard;
mod pages;
mod routes;

use std::net::Ipv4Addr;
use std::sync::Arc;

use clap::Args;
use commands::Table;
use commands::types::{Failure, FailureCode};
use tokio::net::TcpListener;

use crate::Program;
use crate::output::line;
use guard::Guard;

#[derive(Debug, Args)]
pub(crate) struct UiArgs {
    /// Port to listen on; any free one when absent
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Print the address and open no browser
    #[arg(long)]
    print_url: bool,
}

/// What every request may use.
#[derive(Clone)]
struct Bridge {
    table: Table,
    guard: Arc<Guard>,
}

pub(crate) async fn run(program: &Program, args: UiArgs) -> Result<(), Failure> {
    if !pages::are_there() {
        return Err(Failure::new(
            FailureCode::ProgramMissing,
            "this program was built without the user interface",
        )
        .hint("build it with `cargo xtask app`, or install the package"));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .map_err(|error| {
            Failure::new(
                FailureCode::PortBusy,
                format!("port {}: {error}", args.port),
            )
        })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new(FailureCode::Internal, error))?;
    let guard = Arc::new(Guard::new(address.port()));
    // After the `#`, the token is not sent to any server and stands in no log; the page trades it
    // for a cookie and takes it out of the address.
    let url = format!("http://{address}/#t={}", guard.token());
    if program.output.json {
        line(&serde_json::json!({ "url": url, "port": address.port() }).to_string());
    } else {
        line(&url);
    }
    if !args.print_url
        && let Err(failure) = program.table.open_url(&url)
    {
        program
            .output
            .note(&format!("Open this address in a browser ({failure})."));
    }
    program.table.own_proxy().await?;
    let bridge = Bridge {
        table: program.table.clone(),
        guard,
    };
    let served = axum::serve(listener, routes::router(bridge));
    let served = served.with_graceful_shutdown(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    served
        .await
        .map_err(|error| Failure::new(FailureCode::Internal, error))?;
    // Tunnels and transfers outlive the page.
    if program.table.live_work().is_none() {
        program.table.close().await;
        Ok(())
    } else {
        program.table.hand_over().await
    }
}
