//! `gangway image`.

use clap::Subcommand;
use commands::types::{Failure, Image, ImageList, Nothing};

use crate::Program;
use crate::output::{grid, size};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// List them
    Ls,
}

pub(crate) async fn run(program: &Program, verb: ImageVerb) -> Result<(), Failure> {
    let ImageVerb::Ls = verb;
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
