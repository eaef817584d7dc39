//! The way to managers: a proxy, and certificates beside the system's.

use std::path::Path;
use std::time::Instant;

use client::{Client, Network};

use crate::context::Context;
use crate::failure::io;
use crate::types::{Failure, FailureCode, NetworkTest, NetworkTested, Settings};

/// How managers are reached by the user's settings.
pub(crate) fn of(settings: &Settings) -> Result<Network, Failure> {
    network(settings.proxy.as_deref(), settings.ca_file.as_deref())
}

/// Whether the settings make sense, before they are written.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    of(settings)?.check().map_err(Failure::from)
}

fn network(proxy: Option<&str>, ca_file: Option<&str>) -> Result<Network, Failure> {
    let given = |text: Option<&str>| {
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let certificates = match given(ca_file) {
        Some(file) => {
            let path = Path::new(&file);
            Some(std::fs::read(path).map_err(|error| io(&error, &path.display()))?)
        }
        None => None,
    };
    Ok(Network {
        proxy: given(proxy),
        certificates,
    })
}

/// Asks a manager who it is, in the way that is to be tested.
pub(crate) async fn test(
    context: &Context,
    request: NetworkTest,
) -> Result<NetworkTested, Failure> {
    let endpoint = match request.endpoint.filter(|it| !it.trim().is_empty()) {
        Some(endpoint) => endpoint,
        None => {
            let profile = context.profile(&context.profile_name()?)?;
            profile.endpoint.ok_or_else(|| {
                let message = "this computer's engine is reached without a proxy";
                Failure::new(FailureCode::InvalidInput, message)
                    .hint("name the address of a manager to test the way to it")
            })?
        }
    };
    let way = network(request.proxy.as_deref(), request.ca_file.as_deref())?;
    way.check()?;
    let client = Client::new(&endpoint, None)?.through(way);
    let started = Instant::now();
    let found = client.announcement().await?;
    Ok(NetworkTested {
        manager: found.manager.clone(),
        took_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
        endpoint: client.endpoint().to_owned(),
    })
}
