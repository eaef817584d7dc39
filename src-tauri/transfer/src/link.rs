//! Symbolic links in a folder that is copied.

use crate::copy::{Context, Stop, failed};
use crate::item::Links;
use crate::moved::What;
use crate::name;
use crate::store::{Entry, Kind};

/// The real paths of the folders behind the links that were followed to get somewhere: a link back
/// to one of them, or to what holds it, would never end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain(Vec<String>);

/// Where a link lies and would come to lie.
pub(crate) struct At<'a> {
    /// The folder that it lies in.
    pub(crate) folder: &'a str,
    pub(crate) src: &'a str,
    pub(crate) dst: &'a str,
    /// Folders between it and the copied one.
    pub(crate) depth: usize,
}

/// What became of a link.
pub(crate) enum Treated {
    /// It was made again or left out.
    Done,
    /// This is copied in its place.
    CopyAs(Entry),
}

/// Treats a link as the user chose.
pub(crate) async fn treat(
    context: &Context,
    entry: Entry,
    at: &At<'_>,
    there: Option<&Entry>,
    chain: &mut Chain,
) -> Result<Treated, Stop> {
    match context.links {
        Links::Skip => {
            context.progress.skipped();
            Ok(Treated::Done)
        }
        Links::Keep => keep(context, &entry, at, there).await,
        Links::Follow => follow(context, entry, at, chain).await,
    }
}

/// Makes a link again when it stays inside the copied folder, and leaves it out otherwise: one
/// that leads elsewhere would mean something else on the other side, or open a way out.
async fn keep(
    context: &Context,
    entry: &Entry,
    at: &At<'_>,
    there: Option<&Entry>,
) -> Result<Treated, Stop> {
    let target = entry.target.as_deref().unwrap_or_default();
    let made = || What::Link {
        target: target.to_owned(),
    };
    let possible = context.dst.capabilities().links && name::link_stays_inside(target, at.depth);
    if !possible || there.is_some() {
        let same = there.is_some_and(|there| there.target.as_deref() == Some(target));
        if same {
            context.has_copied(at.src, made);
        } else {
            context.progress.skipped();
        }
        return Ok(Treated::Done);
    }
    context
        .dst
        .link(target, at.dst)
        .await
        .map_err(failed(at.dst))?;
    context.has_copied(at.src, made);
    Ok(Treated::Done)
}

async fn follow(
    context: &Context,
    entry: Entry,
    at: &At<'_>,
    chain: &mut Chain,
) -> Result<Treated, Stop> {
    let leads_to = match context.src.stat(at.src, true).await {
        Ok(leads_to) if leads_to.kind == Kind::File => leads_to,
        Ok(leads_to)
            if leads_to.kind == Kind::Directory && lengthen(context, at, chain).await? =>
        {
            leads_to
        }
        Err(error) if error.retry => return Err(failed(at.src)(error)),
        // Nothing, a device, or a folder that holds the link itself.
        _ => {
            context.progress.skipped();
            return Ok(Treated::Done);
        }
    };
    Ok(Treated::CopyAs(Entry {
        name: entry.name,
        ..leads_to
    }))
}

/// Adds the folder behind a link; `false` when it holds what we came from.
async fn lengthen(context: &Context, at: &At<'_>, chain: &mut Chain) -> Result<bool, Stop> {
    let real = |path| async move { context.src.real_path(path).await.map_err(failed(path)) };
    let (to, from) = (real(at.src).await?, real(at.folder).await?);
    let holds = |inner: &String| {
        let rest = inner.strip_prefix(to.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if holds(&from) || chain.0.iter().any(holds) {
        return Ok(false);
    }
    chain.0.push(to);
    Ok(true)
}
