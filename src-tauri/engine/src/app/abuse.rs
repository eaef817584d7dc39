//! What a watcher of the computer says about kernels: files that it puts into a folder of the
//! engine, as with a manager's agents (`<data>/abuse/report.<kernel id>.json`).

use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::state::App;

/// The largest report that is passed on, in bytes.
const LARGEST: u64 = 1 << 20;

fn path(app: &App, kernel: Uuid) -> PathBuf {
    app.data_dir
        .join("abuse")
        .join(format!("report.{kernel}.json"))
}

/// The report on one kernel; its `abuse_report` is null when nothing was reported.
pub(crate) async fn report(app: &App, kernel: Uuid) -> Value {
    let path = path(app, kernel);
    let small = tokio::fs::metadata(&path)
        .await
        .is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
    let text = if small {
        tokio::fs::read_to_string(&path).await.ok()
    } else {
        None
    };
    json!({ "kernel": kernel, "abuse_report": text })
}
