//! Whether a destination is the source itself, or lies inside it. The same folder has many names:
//! mounted in two sessions, as a data folder, behind a link. What is put into the one and seen in
//! the other tells.

use futures_util::future::join_all;

use crate::copy::{Context, Stop, failed};
use crate::item::{FailureCode, Place};
use crate::name;
use crate::run::Placement;
use crate::store::{Kind, StoreError};

/// Refuses what would never end or would lose the only copy: a folder copied into itself, a file
/// onto itself.
///
/// # Errors
/// [`FailureCode::Unsupported`] when it is so; those of a store that may answer later.
pub(crate) async fn refuse(
    context: &Context,
    at: &Placement,
    (from, to): (&Place, &Place),
    moves: bool,
) -> Result<(), Stop> {
    let inside = |dst: &str| {
        let rest = dst.strip_prefix(at.src.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if from == to && inside(&at.dst) {
        return Err(same(at));
    }
    // A copy between this computer and elsewhere is as a rule no copy onto itself, and harms little
    // if it is one.
    let apart = (*from == Place::Local) != (*to == Place::Local);
    if apart && !moves {
        return Ok(());
    }
    let src = context.src.stat(&at.src, true).await;
    let is_folder = src.map_err(failed(&at.src))?.kind == Kind::Directory;
    let (put_in, look_in) = match (name::split(&at.src), name::split(&at.dst)) {
        _ if is_folder => (at.src.as_str(), with_ancestors(&at.dst)),
        (Some((src_in, src)), Some((dst_in, dst))) if src == dst => {
            (src_in, vec![dst_in.to_owned()])
        }
        _ => return Ok(()),
    };
    // An unfinished file's name: it is no part of what is copied.
    let mark_name = name::part("", &context.transfer);
    let mark = name::join(put_in, &mark_name);
    match context.src.make_dir(&mark).await {
        Ok(()) => {}
        Err(error) if error.code == FailureCode::AlreadyExists => {}
        Err(error) if error.retry => return Err(failed(&at.src)(error)),
        // What can't be written to can't be harmed either.
        Err(_) => return Ok(()),
    }
    let looks = look_in.iter().map(|folder| async {
        let seen = name::join(folder, &mark_name);
        match context.dst.stat(&seen, false).await {
            Ok(_) => Ok(true),
            // No answer is not a no.
            Err(error) if error.retry => Err(failed(folder)(error)),
            Err(_) => Ok(false),
        }
    });
    let seen: Vec<Result<bool, Stop>> = join_all(looks).await;
    context
        .src
        .remove_dir(&mark)
        .await
        .map_err(failed(&at.src))?;
    for seen in seen {
        if seen? {
            return Err(same(at));
        }
    }
    Ok(())
}

/// A path, and all folders that it lies in.
fn with_ancestors(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    let mut rest = path;
    while let Some((folder, _)) = name::split(rest) {
        all.push(folder.to_owned());
        rest = folder;
    }
    all
}

fn same(at: &Placement) -> Stop {
    let error = StoreError::new(
        FailureCode::Unsupported,
        "source and destination are the same",
    );
    Stop::Failed {
        failure: error.about(&at.dst),
        retry: false,
    }
}
