//! Moving files. Runs in the proxy host.

use crate::context::Context;
use crate::failure::not_logged_in;
use crate::file::{inner_path, local_path, may_be_removed};
use crate::session::find_running;
use crate::types::{
    Failure, FailureCode, Links, Location, Nothing, OnFinish, Overwrite, Transfer, TransferList,
    TransferOptions, TransferRef, TransferReorder, TransferResolve, TransferStart,
};

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<TransferList, Failure> {
    Ok(shown(context.proxy()?.transfers().list()))
}

/// Those that are not over in their order, then the others, newest first.
fn shown(list: Vec<transfer::Transfer>) -> TransferList {
    let (mut over, mut transfers): (Vec<_>, Vec<_>) = list
        .into_iter()
        .partition(|transfer| transfer.state.is_over());
    over.sort_by_key(|transfer| std::cmp::Reverse(transfer.created_at));
    transfers.append(&mut over);
    TransferList {
        transfers: transfers.into_iter().map(Transfer::from).collect(),
    }
}

pub(crate) async fn reorder(
    context: &Context,
    request: TransferReorder,
) -> Result<TransferList, Failure> {
    let queue = context.proxy()?.transfers().clone();
    let before = request.before.as_deref();
    Ok(shown(queue.reorder(&request.id, before).await?))
}

pub(crate) async fn options(context: &Context, _: Nothing) -> Result<TransferOptions, Failure> {
    let host = context.proxy()?;
    let queue = host.transfers();
    Ok(TransferOptions {
        limit_bps: queue.limit(),
        on_finish: queue.on_finish().into(),
    })
}

pub(crate) async fn set_options(
    context: &Context,
    request: TransferOptions,
) -> Result<TransferOptions, Failure> {
    let queue = context.proxy()?.transfers().clone();
    queue.set_limit(request.limit_bps).await?;
    queue.set_on_finish(request.on_finish.into()).await?;
    Ok(request)
}

pub(crate) async fn start(
    context: &Context,
    request: TransferStart,
) -> Result<TransferList, Failure> {
    let queue = context.proxy()?.transfers().clone();
    let profile = context.profile_name()?;
    let mut items = Vec::with_capacity(request.items.len());
    for item in request.items {
        if request.remove_source {
            may_be_removed(&item.src)?;
        }
        items.push(transfer::Item {
            src: place(context, &profile, item.src).await?,
            dst: place(context, &profile, item.dst).await?,
        });
    }
    let start = transfer::Start {
        profile,
        items,
        overwrite: request.overwrite,
        links: request.links.into(),
        checksum: request.checksum,
        limit_bps: request.limit_bps,
        remove_source: request.remove_source,
    };
    let transfers = queue.start(start).await?;
    Ok(TransferList {
        transfers: transfers.into_iter().map(Transfer::from).collect(),
    })
}

/// The place meant, by what does not change: a session by its id, a local path from the root.
/// A `/` at the end says "into this directory" and is kept.
async fn place(context: &Context, profile: &str, location: Location) -> Result<Location, Failure> {
    Ok(match location {
        Location::Local { path } => {
            let into = path.ends_with('/');
            let mut path = local_path(&path)?.display().to_string();
            if into && !path.ends_with('/') {
                path.push('/');
            }
            Location::Local { path }
        }
        Location::Session { session, path } => {
            let client = context.client_of(profile).await?;
            let row = find_running(&client, &session).await?;
            Location::Session {
                session: row.session_id.to_string(),
                path,
            }
        }
        Location::Folder { folder, path } => {
            // Whoever is logged in no longer is waited for; nobody never is.
            if context.profile(profile)?.account.is_none() {
                return Err(not_logged_in(profile));
            }
            let into = path.ends_with('/') || path.is_empty();
            let mut path = format!("/{}", inner_path(&path)?);
            if into && !path.ends_with('/') {
                path.push('/');
            }
            Location::Folder { folder, path }
        }
    })
}

pub(crate) async fn pause(context: &Context, request: TransferRef) -> Result<Transfer, Failure> {
    Ok(context
        .proxy()?
        .transfers()
        .pause(&request.id)
        .await?
        .into())
}

pub(crate) async fn resume(context: &Context, request: TransferRef) -> Result<Transfer, Failure> {
    Ok(context
        .proxy()?
        .transfers()
        .resume(&request.id)
        .await?
        .into())
}

pub(crate) async fn cancel(context: &Context, request: TransferRef) -> Result<Transfer, Failure> {
    Ok(context
        .proxy()?
        .transfers()
        .cancel(&request.id)
        .await?
        .into())
}

pub(crate) async fn retry(context: &Context, request: TransferRef) -> Result<Transfer, Failure> {
    Ok(context
        .proxy()?
        .transfers()
        .retry(&request.id)
        .await?
        .into())
}

pub(crate) async fn resolve(
    context: &Context,
    request: TransferResolve,
) -> Result<Transfer, Failure> {
    if request.overwrite == Overwrite::Ask {
        let message = "say what to do: always, never or newer";
        return Err(Failure::new(FailureCode::InvalidInput, message));
    }
    let queue = context.proxy()?.transfers().clone();
    Ok(queue.resolve(&request.id, request.overwrite).await?.into())
}

pub(crate) async fn clear(context: &Context, _: Nothing) -> Result<Nothing, Failure> {
    context.proxy()?.transfers().clear().await?;
    Ok(Nothing {})
}

impl From<transfer::Transfer> for Transfer {
    fn from(transfer: transfer::Transfer) -> Self {
        Self {
            id: transfer.id,
            src: transfer.src,
            dst: transfer.dst,
            state: transfer.state,
            bytes: transfer.bytes,
            total: transfer.total,
            files: transfer.files,
            files_total: transfer.files_total,
            skipped: transfer.skipped,
            remove_source: transfer.remove_source,
            source_left: transfer.source_left,
            speed: transfer.speed.map(|speed| speed as f64),
            eta_s: transfer.eta_s.map(|eta| eta as f64),
            seconds: transfer.seconds,
            sha256: transfer.sha256,
            failure: transfer.failure.map(Failure::from),
            conflict: transfer.conflict,
            created_at: transfer.created_at,
            finished_at: transfer.finished_at,
        }
    }
}

impl From<Links> for transfer::Links {
    fn from(links: Links) -> Self {
        match links {
            Links::Keep => Self::Keep,
            Links::Follow => Self::Follow,
            Links::Skip => Self::Skip,
        }
    }
}

impl From<OnFinish> for transfer::OnFinish {
    fn from(on_finish: OnFinish) -> Self {
        match on_finish {
            OnFinish::Nothing => Self::Nothing,
            OnFinish::Quit => Self::Quit,
        }
    }
}

impl From<transfer::OnFinish> for OnFinish {
    fn from(on_finish: transfer::OnFinish) -> Self {
        match on_finish {
            transfer::OnFinish::Nothing => Self::Nothing,
            transfer::OnFinish::Quit => Self::Quit,
        }
    }
}
