//! What the owner of a session should know: gathered from the runtime and from its kernels.

use protocol::api::gangway::Notice;
use runtime::{Kernel, NoticeCode};
use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store;

/// Keeps what the runtime and `kernel` have to say about `session`.
pub(crate) async fn collect(app: &App, session: Uuid, kernel: &dyn Kernel) -> Result<(), Problem> {
    let mut notices = app.runtime.notices();
    match kernel.notices().await {
        Ok(own) => notices.extend(own),
        Err(error) => tracing::debug!(%session, %error, "no notices"),
    }
    if notices.is_empty() {
        return Ok(());
    }
    let now = (app.clock)();
    let notices: Vec<Notice> = notices
        .into_iter()
        .map(|notice| Notice {
            code: code(notice.code).to_owned(),
            message: notice.message,
            at: notice.at.parse().unwrap_or(now),
        })
        .collect();
    let known = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::notice::of_session(db, session)?) })
        .await?;
    let same = |a: &Notice, b: &Notice| a.code == b.code && a.message == b.message;
    let fresh: Vec<Notice> = notices
        .into_iter()
        .filter(|notice| !known.iter().any(|known| same(known, notice)))
        .collect();
    if fresh.is_empty() {
        return Ok(());
    }
    app.store
        .write(move |tx| -> Result<_, Problem> {
            for notice in &fresh {
                store::notice::add(tx, session, notice)?;
            }
            Ok(())
        })
        .await
}

const fn code(code: NoticeCode) -> &'static str {
    match code {
        NoticeCode::LimitsAdvisory => "limits-advisory",
        NoticeCode::NoNetwork => "no-network",
        NoticeCode::OomKilled => "oom-killed",
        NoticeCode::ImageReadOnly => "image-read-only",
        NoticeCode::ImageSimplified => "image-simplified",
        NoticeCode::BootstrapFailed => "bootstrap-failed",
    }
}

/// Asks the running kernels of a session for what they have to say by now.
pub(crate) async fn refresh(app: &App, session: Uuid, rows: &[crate::store::kernel::Kernel]) {
    for kernel in rows.iter().filter_map(|row| app.kernels.get(row.id)) {
        if let Err(problem) = collect(app, session, kernel.as_ref()).await {
            tracing::debug!(%session, %problem, "notices");
        }
    }
}
