//! `gangway folder`.

use clap::Subcommand;
use commands::types::{
    Failure, FileEntry, FileListing, FileRef, FileRemove, FileRename, Folder, FolderClone,
    FolderCreate, FolderList, FolderListRequest, FolderPermission, FolderRef, FolderRename,
    Location, Nothing,
};

use crate::Program;
use crate::account::word;
use crate::ask;
use crate::output::{grid, pairs, size};

#[derive(Debug, Subcommand)]
pub(crate) enum FolderVerb {
    /// List them
    Ls,
    /// Make one
    Create {
        /// Up to 64 characters; one that starts with a dot is mounted into every session
        name: String,
        /// Whether others than its owner may write
        #[arg(long, value_parser = permission, value_name = "ro|rw|wd")]
        permission: Option<FolderPermission>,
        /// What it is for: general, model or data
        #[arg(long, value_name = "MODE")]
        usage_mode: Option<String>,
        /// Let others copy it
        #[arg(long)]
        cloneable: bool,
    },
    /// Copy one that may be copied into a new one of your own
    Clone {
        /// Name or id
        folder: String,
        /// The new folder's name
        name: String,
        /// Whether others than its owner may write
        #[arg(long, value_parser = permission, value_name = "ro|rw|wd")]
        permission: Option<FolderPermission>,
        /// What it is for: general, model or data
        #[arg(long, value_name = "MODE")]
        usage_mode: Option<String>,
        /// Let others copy the new one
        #[arg(long)]
        cloneable: bool,
    },
    /// Show one
    Show {
        /// Name or id
        folder: String,
    },
    /// List the files in one
    Files {
        /// Name or id
        folder: String,
        /// Directory in it
        #[arg(default_value = "")]
        path: String,
    },
    /// Make a directory in one
    Mkdir {
        /// Name or id
        folder: String,
        /// Path in it
        path: String,
    },
    /// Move or rename a file in one
    Mv {
        /// Name or id
        folder: String,
        /// Path in it
        src: String,
        /// New path in it
        dst: String,
    },
    /// Put one into the trash; with paths, delete these files in it
    Rm {
        /// Name or id
        folder: String,
        /// Paths in it
        paths: Vec<String>,
    },
    /// Give one another name
    Rename {
        /// Name or id
        folder: String,
        /// The new name
        name: String,
    },
    /// List those in the trash
    Trash,
    /// Take one out of the trash
    Restore {
        /// Name or id
        folder: String,
    },
    /// Delete one in the trash for good
    Purge {
        /// Name or id
        folder: String,
    },
}

pub(crate) async fn run(program: &Program, verb: FolderVerb) -> Result<(), Failure> {
    let (table, output) = (&program.table, program.output);
    match verb {
        FolderVerb::Ls => list(program, false).await?,
        FolderVerb::Trash => list(program, true).await?,
        FolderVerb::Create {
            name,
            permission,
            usage_mode,
            cloneable,
        } => {
            let request = FolderCreate {
                name,
                usage_mode,
                permission,
                cloneable,
            };
            let folder: Folder = table.ask("folder.create", &request).await?;
            output.answer(&folder, |folder| format!("{}  {}", folder.name, folder.id));
        }
        FolderVerb::Clone {
            folder,
            name,
            permission,
            usage_mode,
            cloneable,
        } => {
            let request = FolderClone {
                folder,
                name,
                usage_mode,
                permission,
                cloneable,
            };
            crate::image::follow(program, "folder.clone", &request).await?;
        }
        FolderVerb::Show { folder } => {
            let folder: Folder = table.ask("folder.show", &FolderRef { folder }).await?;
            output.answer(&folder, human);
        }
        FolderVerb::Files { folder, path } => {
            let location = Location::Folder { folder, path };
            let listing: FileListing = table.ask("file.list", &FileRef { location }).await?;
            output.answer(&listing, files);
        }
        FolderVerb::Mkdir { folder, path } => {
            let location = Location::Folder { folder, path };
            let done: Nothing = table.ask("file.mkdir", &FileRef { location }).await?;
            output.answer(&done, |_| String::new());
        }
        FolderVerb::Mv { folder, src, dst } => {
            let location = Location::Folder { folder, path: src };
            let request = FileRename { location, to: dst };
            let done: Nothing = table.ask("file.rename", &request).await?;
            output.answer(&done, |_| String::new());
        }
        FolderVerb::Rm { folder, paths } if !paths.is_empty() => {
            ask::confirm(
                program,
                &format!("Delete {} for good?", paths.join(", ")),
                serde_json::Value::Null,
            )?;
            let location = |path: String| Location::Folder {
                folder: folder.clone(),
                path,
            };
            let request = FileRemove {
                locations: paths.into_iter().map(location).collect(),
            };
            let done: Nothing = table.ask("file.remove", &request).await?;
            output.answer(&done, |_| String::new());
        }
        FolderVerb::Rm { folder, .. } => {
            ask::confirm(
                program,
                &format!("Put the data folder \"{folder}\" into the trash?"),
                serde_json::Value::Null,
            )?;
            let done: Nothing = table.ask("folder.remove", &FolderRef { folder }).await?;
            output.answer(&done, |_| String::new());
        }
        FolderVerb::Rename { folder, name } => {
            let request = FolderRename { folder, name };
            let folder: Folder = table.ask("folder.rename", &request).await?;
            output.answer(&folder, |folder| format!("Renamed to {}.", folder.name));
        }
        FolderVerb::Restore { folder } => {
            let done: Nothing = table.ask("folder.restore", &FolderRef { folder }).await?;
            output.answer(&done, |_| String::new());
        }
        FolderVerb::Purge { folder } => {
            ask::confirm(
                program,
                &format!("Delete the data folder \"{folder}\" for good?"),
                serde_json::Value::Null,
            )?;
            let done: Nothing = table.ask("folder.purge", &FolderRef { folder }).await?;
            output.answer(&done, |_| String::new());
        }
    }
    Ok(())
}

async fn list(program: &Program, trash: bool) -> Result<(), Failure> {
    let list: FolderList = program
        .table
        .ask("folder.list", &FolderListRequest { trash })
        .await?;
    program.output.answer(&list, |list| {
        let row = |folder: &Folder| {
            [
                folder.name.clone(),
                folder.id.clone(),
                word(&folder.permission),
                folder.usage_mode.clone(),
                folder.owner.clone().unwrap_or_default(),
                folder.status.clone(),
            ]
        };
        grid(
            ["NAME", "ID", "PERMISSION", "USE", "OWNER", "STATUS"],
            list.folders.iter().map(row),
        )
    });
    Ok(())
}

fn human(folder: &Folder) -> String {
    pairs([
        ("Name", folder.name.clone()),
        ("Id", folder.id.clone()),
        ("Status", folder.status.clone()),
        ("Host", folder.host.clone()),
        ("Permission", word(&folder.permission)),
        ("Use", folder.usage_mode.clone()),
        ("Owner", folder.owner.clone().unwrap_or_default()),
        (
            "Files",
            folder
                .files
                .map(|files| files.to_string())
                .unwrap_or_default(),
        ),
        ("Size", folder.used_bytes.map(size).unwrap_or_default()),
        (
            "Created",
            folder
                .created_at
                .map(|time| time.to_string())
                .unwrap_or_default(),
        ),
    ])
}

fn files(listing: &FileListing) -> String {
    let row = |entry: &FileEntry| {
        [
            word(&entry.kind),
            size(entry.size),
            entry
                .modified
                .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
                .unwrap_or_default(),
            entry.name.clone(),
        ]
    };
    grid(
        ["KIND", "SIZE", "MODIFIED", "NAME"],
        listing.entries.iter().map(row),
    )
}

fn permission(text: &str) -> Result<FolderPermission, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("\"{text}\" is not ro, rw or wd"))
}
