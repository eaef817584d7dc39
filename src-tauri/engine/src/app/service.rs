//! Apps of a session: which there are, and starting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use protocol::service_port::{ServicePort, ServiceProtocol};
use runtime::{ArgumentValue, Kernel, ServiceAnswer, ServiceOptions};
use serde_json::json;

use super::session;
use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// An app that answers, and the port that it answers on.
pub(crate) struct Started {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) port: u16,
    /// Whether it ran already.
    pub(crate) was_running: bool,
}

/// What a caller wants of an app.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) app: String,
    /// One of the app's ports; the first when `None`.
    pub(crate) port: Option<u16>,
    pub(crate) options: ServiceOptions,
}

impl Wish {
    /// Reads the JSON texts in which clients pass variables and arguments.
    pub(crate) fn parse(
        app: String,
        port: Option<u16>,
        envs: Option<&str>,
        arguments: Option<&str>,
    ) -> Result<Self, Problem> {
        let given = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|text| !text.is_empty() && *text != "null")
                .map(str::to_owned)
        };
        let envs: BTreeMap<String, String> = match given(envs) {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| Problem::unparsable(format!("envs: {error}")))?,
        };
        let arguments: BTreeMap<String, Option<ArgumentValue>> = match given(arguments) {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| Problem::unparsable(format!("arguments: {error}")))?,
        };
        Ok(Self {
            app,
            port,
            options: ServiceOptions {
                arguments,
                envs,
                limit_s: None,
            },
        })
    }

    /// The same with so many seconds for the app's start.
    pub(crate) fn within(mut self, limit_s: Option<u32>) -> Self {
        self.options.limit_s = limit_s;
        self
    }
}

/// Starts an app unless it runs, and waits until its port answers.
pub(crate) async fn start(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
    wish: &Wish,
) -> Result<Started, Problem> {
    let service = match find(session, kernels, &wish.app) {
        Ok(service) => service,
        Err(unknown) => {
            // Ours: whatever listens on a port may be reached by whoever may reach the session.
            let port = wish.app.parse().ok().filter(|port| *port > 0);
            return Ok(Started {
                port: port.ok_or(unknown)?,
                kernel: session::main_kernel(app, session, kernels)?,
                was_running: true,
            });
        }
    };
    let port = match wish.port {
        None => service.ports.first().copied().unwrap_or_default(),
        Some(port) if service.ports.contains(&port) => port,
        Some(port) => {
            return Err(Problem::invalid_params(format!(
                "The app {} has no port {port}.",
                service.name
            )));
        }
    };
    let kernel = session::main_kernel(app, session, kernels)?;
    if service.protocol == ServiceProtocol::Preopen {
        // Somebody inside listens there, or will: nothing to start.
        return Ok(Started {
            kernel,
            port,
            was_running: true,
        });
    }
    let answer = kernel
        .start_service(&service.name, wish.options.clone())
        .await
        .unwrap_or_else(|error| ServiceAnswer::Failed {
            error: session::chain(&error),
        });
    match answer {
        ServiceAnswer::Started => Ok(Started {
            kernel,
            port,
            was_running: false,
        }),
        ServiceAnswer::Running => Ok(Started {
            kernel,
            port,
            was_running: true,
        }),
        ServiceAnswer::Failed { error } => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "app-service-start-failed",
            "Failed to start the application service.",
            "session_start_internal-error",
        )
        .msg(format!("{}: {error}", service.name))
        .data(json!({ "status": "failed", "error": error }))),
    }
}

/// The service port of this name.
pub(crate) fn find<'a>(
    session: &Session,
    kernels: &'a [KernelRow],
    name: &str,
) -> Result<&'a ServicePort, Problem> {
    kernels
        .first()
        .and_then(|kernel| {
            kernel
                .service_ports
                .iter()
                .find(|service| service.name == name)
        })
        .ok_or_else(|| {
            Problem::not_found("app service", "backendai_read_not-found")
                .msg(format!("{}:{name}", session.name))
        })
}
