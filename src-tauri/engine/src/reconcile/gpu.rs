//! Which GPUs the kernels of a session get. Only the scheduler gives, one session after the other,
//! and what it gave is in the kernels' rows: no GPU is given twice, whoever is killed when.

use std::collections::BTreeSet;

use protocol::slots::CUDA_DEVICE;

use crate::app::session::runtime_problem;
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::session::Session;

/// UUIDs of the GPUs for each of `kernels` kernels of a session; `None` while there are not enough
/// that nobody has.
pub(super) async fn choose(
    app: &App,
    session: &Session,
    kernels: usize,
) -> Result<Option<Vec<Vec<String>>>, Problem> {
    let each = session.requested_slots.get(CUDA_DEVICE).floor();
    let Some(each) = usize::try_from(each).ok().filter(|count| *count > 0) else {
        return Ok(Some(vec![Vec::new(); kernels]));
    };
    let taken: BTreeSet<String> = app
        .store
        .read(|db| -> Result<_, Problem> { Ok(store::kernel::occupying(db)?) })
        .await?
        .into_iter()
        .flat_map(|kernel| kernel.gpus)
        .collect();
    let runtime = app.runtime.clone();
    let all = tokio::task::spawn_blocking(move || runtime.gpus())
        .await
        .map_err(|error| {
            runtime_problem(runtime::RuntimeError::Invalid(format!(
                "the GPUs could not be listed: {error}"
            )))
        })?;
    let free: Vec<String> = all
        .into_iter()
        .map(|gpu| gpu.uuid)
        .filter(|uuid| !taken.contains(uuid))
        .collect();
    if free.len() < each.saturating_mul(kernels) {
        return Ok(None);
    }
    let shares = free.chunks(each).take(kernels);
    Ok(Some(shares.map(<[String]>::to_vec).collect()))
}
