//! How far transfers are, on a terminal.

use std::collections::BTreeMap;

use commands::types::{FailureCode, Transfer, TransferState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::place::typed;

/// What a transfer that stands still waits for.
fn waits_for(transfer: &Transfer) -> &'static str {
    let code = transfer.failure.as_ref().map(|failure| failure.code);
    match (transfer.state, code) {
        (TransferState::Waiting, Some(FailureCode::LoginExpired)) => {
            "login expired; log in again to go on: gangway login"
        }
        (TransferState::Waiting, _) => "waits for the session",
        _ => "",
    }
}

/// A progress bar for each transfer, on a terminal.
pub(super) struct Bars {
    all: Option<MultiProgress>,
    each: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn new(shown: bool) -> Self {
        Self {
            all: shown.then(MultiProgress::new),
            each: BTreeMap::new(),
        }
    }

    pub(super) fn show(&mut self, transfers: &[Transfer]) {
        let Some(all) = &self.all else { return };
        for transfer in transfers {
            let bar = self.each.entry(transfer.id.clone()).or_insert_with(|| {
                let bar = all.add(ProgressBar::new(0));
                let template = "{prefix:30!} {bar:24} {bytes:>10} / {total_bytes:<10} \
                                {bytes_per_sec:>12} {eta:>5} {msg}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_prefix(typed(&transfer.src));
                bar
            });
            bar.set_length(transfer.total.unwrap_or(transfer.bytes));
            bar.set_position(transfer.bytes);
            bar.set_message(waits_for(transfer));
        }
    }

    pub(super) fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.all {
            Some(all) => all.suspend(ask),
            None => ask(),
        }
    }

    pub(super) fn end(&self) {
        for bar in self.each.values() {
            bar.abandon();
        }
    }
}
