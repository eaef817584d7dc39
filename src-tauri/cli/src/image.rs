//! `gangway image` and `gangway registry`.

use std::path::PathBuf;

use clap::Subcommand;
use commands::types::{
    Failure, FailureCode, Image, ImageAlias, ImageImport, ImageList, ImageRef, ImageRescan,
    Nothing, Registry, RegistryAdd, RegistryList, RegistryRef, TaskProgress,
};
use commands::{Message, Surface};
use futures_util::StreamExt;
use serde::Serialize;

use crate::Program;
use crate::ask;
use crate::output::{grid, size};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// List them
    Ls,
    /// Fetch one from its registry onto the engine's computer
    Pull {
        /// `registry/project/name:tag`, or an alias
        image: String,
    },
    /// Take one out of an archive (`docker save`, OCI) or a folder (OCI layout)
    Import {
        /// The archive or the folder
        path: PathBuf,
        /// What to call it; without one what it calls itself
        #[arg(long)]
        name: Option<String>,
    },
    /// Forget one: no new session starts from it
    Rm {
        /// `registry/project/name:tag`
        image: String,
    },
    /// Read which images the registries have
    Rescan {
        /// Host and port of one of them
        registry: Option<String>,
    },
    /// Give one another name
    Alias {
        /// The other name
        alias: String,
        /// The image
        #[arg(required_unless_present = "remove", conflicts_with = "remove")]
        image: Option<String>,
        /// Take the name away
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryVerb {
    /// List them
    Ls,
    /// Add one
    Add {
        /// `https://host:port`, or `http://` for one without a certificate
        url: String,
        /// Only repositories that begin so
        #[arg(long)]
        project: Option<String>,
        /// Who logs in
        #[arg(long, requires = "password_stdin")]
        username: Option<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Take any certificate
        #[arg(long)]
        insecure: bool,
    },
    /// Forget one; its images stay
    Rm {
        /// Host and port, or the id
        registry: String,
    },
}

pub(crate) async fn run(program: &Program, verb: ImageVerb) -> Result<(), Failure> {
    match verb {
        ImageVerb::Ls => list(program).await,
        ImageVerb::Pull { image } => follow(program, "image.pull", &ImageRef { image }).await,
        ImageVerb::Import { path, name } => {
            let path = std::path::absolute(&path)
                .map_err(|error| Failure::new(FailureCode::BadPath, error))?;
            let request = ImageImport {
                path: path.to_string_lossy().into_owned(),
                name,
            };
            follow(program, "image.import", &request).await
        }
        ImageVerb::Rm { image } => {
            let question = format!("Forget the image {image}?");
            ask::confirm(program, &question, serde_json::json!({ "image": image }))?;
            let request = ImageRef { image };
            let done: Nothing = program.table.ask("image.remove", &request).await?;
            program
                .output
                .answer(&done, |_| format!("Forgot {}.", request.image));
            Ok(())
        }
        ImageVerb::Rescan { registry } => {
            follow(program, "image.rescan", &ImageRescan { registry }).await
        }
        ImageVerb::Alias {
            alias,
            image,
            remove: _,
        } => {
            let request = ImageAlias { alias, image };
            let done: Nothing = program.table.ask("image.alias", &request).await?;
            program.output.answer(&done, |_| match &request.image {
                Some(image) => format!("{} is {image}.", request.alias),
                None => format!("{} is nothing any more.", request.alias),
            });
            Ok(())
        }
    }
}

async fn list(program: &Program) -> Result<(), Failure> {
    let list: ImageList = program.table.ask("image.list", &Nothing {}).await?;
    program.output.answer(&list, |list| {
        let row = |image: &Image| {
            [
                image.name.clone(),
                image.title.clone(),
                image.architecture.clone(),
                if image.size_bytes == 0 {
                    String::new()
                } else {
                    size(image.size_bytes)
                },
                if image.installed { "yes" } else { "no" }.to_owned(),
            ]
        };
        grid(
            ["IMAGE", "TITLE", "ARCHITECTURE", "SIZE", "INSTALLED"],
            list.images.iter().map(row),
        )
    });
    Ok(())
}

/// Follows what the manager does in the background, to its end.
pub(crate) async fn follow<T: Serialize>(
    program: &Program,
    name: &str,
    request: &T,
) -> Result<(), Failure> {
    let payload = serde_json::to_value(request)
        .map_err(|error| Failure::new(FailureCode::Internal, error))?;
    let mut messages = program.table.stream(Surface::Cli, name, payload).await?;
    let mut shown = String::new();
    while let Some(message) = messages.next().await {
        let Message::Json(value) = message? else {
            continue;
        };
        let progress: TaskProgress = serde_json::from_value(value)
            .map_err(|error| Failure::new(FailureCode::Internal, error))?;
        program
            .output
            .message(&progress, |progress| match progress {
                TaskProgress::Step { .. } => String::new(),
                TaskProgress::Done { message } => format!("{message}\n"),
            });
        match progress {
            TaskProgress::Step {
                message,
                current,
                total,
            } => {
                if program.output.shows_progress() {
                    let text = step(&message, current, total);
                    if text != shown {
                        eprint!("\r\x1b[2K{text}");
                        shown = text;
                    }
                }
            }
            TaskProgress::Done { .. } => {
                if !shown.is_empty() {
                    eprintln!();
                }
                return Ok(());
            }
        }
    }
    let message = "the manager stopped telling how far it is";
    Err(Failure::new(FailureCode::ManagerUnreachable, message))
}

fn step(message: &str, current: f64, total: f64) -> String {
    if total > 0.0 {
        format!("{message} {:3.0}%", (current / total * 100.0).min(100.0))
    } else {
        message.to_owned()
    }
}

pub(crate) async fn registry(program: &Program, verb: RegistryVerb) -> Result<(), Failure> {
    match verb {
        RegistryVerb::Ls => {
            let list: RegistryList = program.table.ask("registry.list", &Nothing {}).await?;
            program.output.answer(&list, |list| {
                let row = |registry: &Registry| {
                    [
                        registry.name.clone(),
                        registry.url.clone(),
                        registry.kind.clone(),
                        registry.project.clone(),
                        registry.username.clone(),
                    ]
                };
                grid(
                    ["REGISTRY", "ADDRESS", "TYPE", "PROJECT", "USER"],
                    list.registries.iter().map(row),
                )
            });
        }
        RegistryVerb::Add {
            url,
            project,
            username,
            password_stdin,
            insecure,
        } => {
            let password = password_stdin.then(first_line).transpose()?;
            let request = RegistryAdd {
                url,
                project,
                username,
                password,
                insecure,
            };
            let added: Registry = program.table.ask("registry.add", &request).await?;
            program
                .output
                .answer(&added, |added| format!("Added {}.", added.name));
        }
        RegistryVerb::Rm { registry } => {
            let question = format!("Forget the registry {registry}?");
            let lost = serde_json::json!({ "registry": registry });
            ask::confirm(program, &question, lost)?;
            let request = RegistryRef { registry };
            let done: Nothing = program.table.ask("registry.remove", &request).await?;
            program
                .output
                .answer(&done, |_| format!("Forgot {}.", request.registry));
        }
    }
    Ok(())
}

fn first_line() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_line(&mut text)
        .map_err(|error| Failure::new(FailureCode::InvalidInput, error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
