//! `gangway history`.

use clap::Subcommand;
use commands::types::{
    Failure, Launch, LaunchList, LaunchRef, LaunchRename, Nothing, Relaunch, Session,
};

use crate::Program;
use crate::account::word;
use crate::ask;
use crate::output::grid;

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryVerb {
    /// List recent launches
    Ls,
    /// Keep one on top
    Pin {
        /// Its id, from `history ls`
        id: String,
    },
    /// Keep it on top no longer
    Unpin {
        /// Its id, from `history ls`
        id: String,
    },
    /// Give one a name
    Rename {
        /// Its id, from `history ls`
        id: String,
        /// The name; empty takes it away
        title: String,
    },
    /// Launch again
    Relaunch {
        /// Its id, from `history ls`
        id: String,
        /// Another name for the session
        #[arg(long)]
        name: Option<String>,
        /// Return as soon as the manager has taken note
        #[arg(long)]
        no_wait: bool,
    },
    /// Forget one
    Rm {
        /// Its id, from `history ls`
        id: String,
    },
    /// Forget all that are not pinned
    Clear,
}

pub(crate) async fn run(program: &Program, verb: HistoryVerb) -> Result<(), Failure> {
    let table = &program.table;
    let list: LaunchList = match verb {
        HistoryVerb::Ls => table.ask("history.list", &Nothing {}).await?,
        HistoryVerb::Pin { id } => table.ask("history.pin", &LaunchRef { id }).await?,
        HistoryVerb::Unpin { id } => table.ask("history.unpin", &LaunchRef { id }).await?,
        HistoryVerb::Rename { id, title } => {
            table
                .ask("history.rename", &LaunchRename { id, title })
                .await?
        }
        HistoryVerb::Rm { id } => table.ask("history.remove", &LaunchRef { id }).await?,
        HistoryVerb::Clear => {
            ask::confirm(
                program,
                "Forget all launches that are not pinned?",
                serde_json::Value::Null,
            )?;
            table.ask("history.clear", &Nothing {}).await?
        }
        HistoryVerb::Relaunch { id, name, no_wait } => {
            let request = Relaunch {
                id,
                name,
                wait: !no_wait,
            };
            let session: Session = table.ask("history.relaunch", &request).await?;
            program.output.answer(&session, |session| {
                format!(
                    "{}  {}  {}",
                    session.name,
                    word(&session.status),
                    session.id
                )
            });
            return Ok(());
        }
    };
    program.output.answer(&list, |list| {
        let row = |launch: &Launch| {
            [
                launch.id.clone(),
                if launch.pinned { "*" } else { "" }.to_owned(),
                launch.title.clone().unwrap_or_else(|| launch.name.clone()),
                launch.request.image.clone().unwrap_or_default(),
                launch.launched_at.strftime("%Y-%m-%d %H:%M").to_string(),
                launch
                    .last_status
                    .map(|status| word(&status))
                    .unwrap_or_default(),
            ]
        };
        grid(
            ["ID", "", "NAME", "IMAGE", "LAUNCHED", "STATUS"],
            list.launches.iter().map(row),
        )
    });
    Ok(())
}
