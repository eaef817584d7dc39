//! `gangway cp` and `gangway transfer`.

mod bars;
mod place;

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use commands::types::{
    Failure, FailureCode, Links, Nothing, Overwrite, Transfer, TransferItem, TransferList,
    TransferOptions, TransferRef, TransferReorder, TransferResolve, TransferStart, TransferState,
};
use serde::Serialize;

use crate::Program;
use crate::account::word;
use crate::output::{Output, grid, parse_size, size};

use bars::Bars;
use place::{check_source, into_directory, place, typed};

/// How often is looked: small files are over in less.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// From where, and last to where: a local path, S:/path in a session, folder://NAME/path in a
    /// data folder
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<String>,
    /// Also directories, with all that is in them
    #[arg(long, short)]
    recursive: bool,
    /// Compare SHA-256 of both ends afterwards
    #[arg(long)]
    checksum: bool,
    /// What to do with symbolic links
    #[arg(long, value_enum, default_value_t = Linked::Keep)]
    links: Linked,
    /// What to do with a file that is there already
    #[arg(long, value_enum, default_value_t = Existing::Ask)]
    overwrite: Existing,
    /// At most so many bytes a second (`10m`)
    #[arg(long, value_name = "RATE", value_parser = parse_size)]
    limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// Ask on a terminal, else fail
    Ask,
    /// Replace it
    Always,
    /// Leave it
    Never,
    /// Replace it when the source is newer
    Newer,
}

impl From<Existing> for Overwrite {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Ask => Self::Ask,
            Existing::Always => Self::Always,
            Existing::Never => Self::Never,
            Existing::Newer => Self::Newer,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Linked {
    /// Make those again that stay inside the directory; leave out the others
    Keep,
    /// Copy what they lead to
    Follow,
    /// Leave them out
    Skip,
}

impl From<Linked> for Links {
    fn from(linked: Linked) -> Self {
        match linked {
            Linked::Keep => Self::Keep,
            Linked::Follow => Self::Follow,
            Linked::Skip => Self::Skip,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TransferVerb {
    /// List them
    Ls,
    /// Show one
    Show {
        /// Its id, from `transfer ls`
        id: String,
    },
    /// Stop one for now
    Pause {
        /// Its id, from `transfer ls`
        id: String,
    },
    /// Let one go on where it was
    Resume {
        /// Its id, from `transfer ls`
        id: String,
    },
    /// Give one up
    Cancel {
        /// Its id, from `transfer ls`
        id: String,
    },
    /// Try one again that failed or was given up
    Retry {
        /// Its id, from `transfer ls`
        id: String,
    },
    /// Put one somewhere else in the order
    Move {
        /// Its id, from `transfer ls`
        id: String,
        /// The one that it comes before; without, it comes last
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// Limit all together to so many bytes a second (`10m`); without a rate, lift the limit
    Limit {
        /// Bytes a second
        #[arg(value_name = "RATE", value_parser = parse_size)]
        rate: Option<u64>,
    },
    /// Forget those that are over
    Clear,
}

/// A transfer as `--json` shows it: places as they are typed.
#[derive(Serialize)]
struct Shown<'a> {
    src: String,
    dst: String,
    #[serde(flatten)]
    rest: Rest<'a>,
}

#[derive(Serialize)]
struct Rest<'a> {
    id: &'a str,
    bytes: u64,
    total: Option<u64>,
    files: u64,
    files_total: Option<u64>,
    skipped: u64,
    state: TransferState,
    seconds: f64,
    speed: Option<f64>,
    created_at: String,
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: &'a Option<Failure>,
}

impl<'a> From<&'a Transfer> for Shown<'a> {
    fn from(transfer: &'a Transfer) -> Self {
        Self {
            src: typed(&transfer.src),
            dst: typed(&transfer.dst),
            rest: Rest {
                id: &transfer.id,
                bytes: transfer.bytes,
                total: transfer.total,
                files: transfer.files,
                files_total: transfer.files_total,
                skipped: transfer.skipped,
                state: transfer.state,
                seconds: transfer.seconds,
                speed: transfer.speed,
                created_at: transfer.created_at.to_string(),
                finished_at: transfer.finished_at.map(|at| at.to_string()),
                sha256: &transfer.sha256,
                failure: &transfer.failure,
            },
        }
    }
}

#[derive(Serialize)]
struct ShownList<'a> {
    transfers: Vec<Shown<'a>>,
}

fn shown(transfers: &[Transfer]) -> ShownList<'_> {
    ShownList {
        transfers: transfers.iter().map(Shown::from).collect(),
    }
}

pub(crate) async fn copy(program: &Program, args: CpArgs) -> Result<ExitCode, Failure> {
    let mut places = args
        .paths
        .iter()
        .map(|path| place(path))
        .collect::<Result<Vec<_>, Failure>>()?;
    let Some(dst) = places.pop() else {
        return Err(Failure::new(
            FailureCode::InvalidInput,
            "from where and to where?",
        ));
    };
    let dst = if places.len() > 1 {
        into_directory(dst)
    } else {
        dst
    };
    for src in &places {
        check_source(src, args.recursive)?;
    }
    let items = places
        .into_iter()
        .map(|src| TransferItem {
            src,
            dst: dst.clone(),
        })
        .collect();
    let request = TransferStart {
        items,
        overwrite: args.overwrite.into(),
        links: args.links.into(),
        checksum: args.checksum,
        limit_bps: args.limit,
        remove_source: false,
    };
    let started: TransferList = program.table.ask("transfer.start", &request).await?;
    let over = follow(program, started.transfers).await?;
    let Some(stopped) = over
        .iter()
        .find(|transfer| transfer.state != TransferState::Done)
    else {
        program.output.answer(&shown(&over), |_| String::new());
        return Ok(ExitCode::SUCCESS);
    };
    let failure = stopped.failure.clone().unwrap_or_else(|| {
        let message = format!("{} is {}", typed(&stopped.src), word(&stopped.state));
        Failure::new(FailureCode::Cancelled, message)
    });
    Err(failure.details(serde_json::json!(shown(&over))))
}

/// Watches until all are over. Ctrl-C gives them up.
async fn follow(program: &Program, started: Vec<Transfer>) -> Result<Vec<Transfer>, Failure> {
    let ids: Vec<String> = started.into_iter().map(|transfer| transfer.id).collect();
    let mut bars = Bars::new(program.output.shows_progress());
    let mut pause = FIRST_LOOK;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let list: TransferList = program.table.ask("transfer.list", &Nothing {}).await?;
        let mut mine: Vec<Transfer> = list
            .transfers
            .into_iter()
            .filter(|transfer| ids.contains(&transfer.id))
            .collect();
        mine.sort_by_key(|transfer| ids.iter().position(|id| *id == transfer.id));
        bars.show(&mine);
        for transfer in mine.iter().filter(|t| t.state == TransferState::Conflict) {
            resolve(program, transfer, &bars).await?;
        }
        let over = |transfer: &Transfer| {
            matches!(
                transfer.state,
                TransferState::Done | TransferState::Failed | TransferState::Cancelled
            )
        };
        if mine.iter().all(over) {
            bars.end();
            return Ok(mine);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOOK),
            _ = &mut interrupt => {
                for id in ids {
                    let _: Result<Transfer, Failure> =
                        program.table.ask("transfer.cancel", &TransferRef { id }).await;
                }
                bars.end();
                return Err(Failure::new(FailureCode::Cancelled, "the transfer was given up"));
            }
        }
    }
}

/// A file is in the way: asks on a terminal, else gives the transfer up.
async fn resolve(program: &Program, transfer: &Transfer, bars: &Bars) -> Result<(), Failure> {
    let path = transfer
        .conflict
        .as_ref()
        .map(|conflict| conflict.path.clone());
    let path = path.unwrap_or_else(|| typed(&transfer.dst));
    let asks = std::io::stdin().is_terminal() && !program.output.json;
    if !asks && !program.yes {
        let reference = TransferRef {
            id: transfer.id.clone(),
        };
        let _: Result<Transfer, Failure> = program.table.ask("transfer.cancel", &reference).await;
        let message = format!("{path} is there already");
        return Err(Failure::new(FailureCode::FileExists, message)
            .hint("say what to do: --overwrite always, never or newer"));
    }
    let replace = program.yes
        || bars.suspend(|| {
            eprint!("Replace {path}? [y/N] ");
            let mut answer = String::new();
            let read = std::io::stdin().lock().read_line(&mut answer);
            read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
        });
    let overwrite = if replace {
        Overwrite::Always
    } else {
        Overwrite::Never
    };
    let request = TransferResolve {
        id: transfer.id.clone(),
        overwrite,
    };
    let _: Transfer = program.table.ask("transfer.resolve", &request).await?;
    Ok(())
}

pub(crate) async fn run(program: &Program, verb: TransferVerb) -> Result<(), Failure> {
    let (table, output) = (&program.table, program.output);
    let changed: Transfer = match verb {
        TransferVerb::Ls => {
            let list: TransferList = table.ask("transfer.list", &Nothing {}).await?;
            show_all(output, &list);
            return Ok(());
        }
        TransferVerb::Clear => {
            let done: Nothing = table.ask("transfer.clear", &Nothing {}).await?;
            output.answer(&done, |_| String::new());
            return Ok(());
        }
        TransferVerb::Move { id, before } => {
            let request = TransferReorder { id, before };
            let list: TransferList = table.ask("transfer.reorder", &request).await?;
            show_all(output, &list);
            return Ok(());
        }
        TransferVerb::Limit { rate } => {
            let now: TransferOptions = table.ask("transfer.options", &Nothing {}).await?;
            let wanted = TransferOptions {
                limit_bps: rate,
                ..now
            };
            let set: TransferOptions = table.ask("transfer.set_options", &wanted).await?;
            output.answer(&set, |set| {
                set.limit_bps.map_or_else(
                    || "no limit".to_owned(),
                    |rate| format!("at most {}/s", size(rate)),
                )
            });
            return Ok(());
        }
        TransferVerb::Show { id } => {
            let list: TransferList = table.ask("transfer.list", &Nothing {}).await?;
            let found = list
                .transfers
                .into_iter()
                .find(|transfer| transfer.id == id);
            found.ok_or_else(|| {
                let message = format!("there is no transfer {id}");
                Failure::new(FailureCode::TransferNotFound, message)
            })?
        }
        TransferVerb::Pause { id } => table.ask("transfer.pause", &TransferRef { id }).await?,
        TransferVerb::Resume { id } => table.ask("transfer.resume", &TransferRef { id }).await?,
        TransferVerb::Retry { id } => table.ask("transfer.retry", &TransferRef { id }).await?,
        TransferVerb::Cancel { id } => table.ask("transfer.cancel", &TransferRef { id }).await?,
    };
    output.answer(&Shown::from(&changed), |_| {
        let reason = changed.failure.as_ref().map(|f| format!("\n{}", f.message));
        format!("{}{}", row(&changed).join("  "), reason.unwrap_or_default())
    });
    Ok(())
}

fn show_all(output: Output, list: &TransferList) {
    output.answer(&shown(&list.transfers), |_| {
        grid(
            ["ID", "STATE", "MOVED", "TOTAL", "FROM", "TO"],
            list.transfers.iter().map(row),
        )
    });
}

fn row(transfer: &Transfer) -> [String; 6] {
    [
        transfer.id.clone(),
        word(&transfer.state),
        size(transfer.bytes),
        transfer.total.map(size).unwrap_or_default(),
        typed(&transfer.src),
        typed(&transfer.dst),
    ]
}
