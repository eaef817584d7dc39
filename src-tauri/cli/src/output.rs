//! What people and programs see.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{Cell, ContentArrangement, Table as Grid, presets};
use commands::BinarySize;
use commands::types::Failure;
use serde::Serialize;
use serde_json::json;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether somebody looks at progress.
    pub(crate) fn shows_progress(self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }

    /// Prints an answer: as one JSON document, or as `human` prints it.
    pub(crate) fn answer<T: Serialize>(self, answer: &T, human: impl FnOnce(&T) -> String) {
        let text = if self.json {
            serde_json::to_string_pretty(answer).unwrap_or_default()
        } else {
            human(answer)
        };
        line(text.trim_end());
    }

    /// Prints one message of a stream: with `--json` one document to a line.
    pub(crate) fn message<T: Serialize>(self, message: &T, human: impl FnOnce(&T) -> String) {
        if self.json {
            line(&serde_json::to_string(message).unwrap_or_default());
        } else {
            text(&human(message));
        }
    }

    /// Prints something that nobody has asked for, but may like to know.
    pub(crate) fn note(self, note: &str) {
        if !self.quiet && !self.json {
            eprintln!("{note}");
        }
    }

    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        if self.json {
            eprintln!("{}", json!({ "error": failure }));
        } else {
            eprintln!("error: {}", failure.message);
            for printed in printed(failure) {
                eprintln!("  | {printed}");
            }
            if let Some(hint) = &failure.hint {
                eprintln!("hint: {hint}");
            }
        }
        ExitCode::from(failure.code.exit_status())
    }
}

/// What an app printed last that did not start.
fn printed(failure: &Failure) -> impl Iterator<Item = &str> {
    let details = failure.details.as_ref();
    let lines = details.and_then(|details| details.get("lines")?.as_array());
    lines
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
}

/// Writes a line; a reader that has gone away (`| head`) is no reason to complain.
pub(crate) fn line(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

/// Writes text as it is.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Columns with a head, without lines.
pub(crate) fn grid<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut grid = Grid::new();
    grid.load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    grid.set_header(head.map(Cell::new));
    for row in rows {
        grid.add_row(row);
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    grid.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// Names and values, one to a line; what is empty is left out.
pub(crate) fn pairs<const N: usize>(pairs: [(&str, String); N]) -> String {
    let width = pairs
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:width$}  {value}\n"))
        .collect()
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    if unit == "B" || amount >= 100.0 {
        format!("{amount:.0} {unit}")
    } else {
        format!("{amount:.1} {unit}")
    }
}

/// Reads a size as people write it (`4g`, `512m`, bytes).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    text.parse::<BinarySize>()
        .map(|size| size.0)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let text = grid(
            ["NAME", "SIZE"],
            [["a".into(), "1".into()], ["long".into(), "2".into()]],
        );
        assert_eq!(text, "NAME  SIZE\na     1\nlong  2\n");
    }
}
