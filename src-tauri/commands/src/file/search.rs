//! Finding files by name in a directory and all below it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::types::{
    Failure, FailureCode, FileEntry, FileKind, FileRef, FileSearch, FilesFound, FoundFile, Location,
};

/// More than anybody looks through.
const MOST: usize = 5_000;
/// Directories that are read at once.
const AT_ONCE: usize = 8;
/// How often is told what was found.
const TELL: Duration = Duration::from_millis(150);
/// What is no file system of files.
const NOT_FILES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Tells what it finds while it goes on; dropping the stream ends it.
pub(crate) async fn search(
    context: &Context,
    request: FileSearch,
) -> Result<impl Stream<Item = Result<FilesFound, Failure>> + Send + use<>, Failure> {
    let pattern = Pattern::new(&request.query)?;
    let (tell, told) = mpsc::channel(4);
    tokio::spawn(walk(context.clone(), request, pattern, tell));
    Ok(futures_util::stream::unfold(told, |mut told| async move {
        let message = told.recv().await?;
        Some((message, told))
    }))
}

type Told = mpsc::Sender<Result<FilesFound, Failure>>;

async fn walk(context: Context, request: FileSearch, pattern: Pattern, tell: Told) {
    let mut waiting = VecDeque::from([String::new()]);
    let mut reading = FuturesUnordered::new();
    let mut total = 0;
    let mut last = Instant::now();
    let mut now = nothing();
    loop {
        while reading.len() < AT_ONCE
            && let Some(inner) = waiting.pop_front()
        {
            reading.push(read(&context, &request.location, inner));
        }
        let Some((inner, listed)) = reading.next().await else {
            break;
        };
        match listed {
            // The directory itself: nothing was searched at all.
            Err(failure) if inner.is_empty() => {
                let _ = tell.send(Err(failure)).await;
                return;
            }
            Err(_) => now.unread += 1,
            Ok(entries) => {
                for entry in entries {
                    if entry.name.starts_with('.') && !request.hidden {
                        continue;
                    }
                    now.seen += 1;
                    let path = match inner.as_str() {
                        "" => entry.name.clone(),
                        inner => format!("{inner}/{}", entry.name),
                    };
                    if entry.kind == FileKind::Directory {
                        waiting.push_back(path.clone());
                    }
                    if pattern.fits(&entry.name) && total < MOST {
                        total += 1;
                        now.found.push(FoundFile { path, entry });
                    }
                }
            }
        }
        now.full = total >= MOST;
        if now.full || last.elapsed() >= TELL {
            last = Instant::now();
            let next = FilesFound {
                found: Vec::new(),
                ..now.clone()
            };
            let full = now.full;
            if tell
                .send(Ok(std::mem::replace(&mut now, next)))
                .await
                .is_err()
                || full
            {
                return;
            }
        }
    }
    let _ = tell.send(Ok(now)).await;
}

fn nothing() -> FilesFound {
    FilesFound {
        found: Vec::new(),
        seen: 0,
        unread: 0,
        full: false,
    }
}

async fn read(
    context: &Context,
    base: &Location,
    inner: String,
) -> (String, Result<Vec<FileEntry>, Failure>) {
    let join = |path: &str| match (path, inner.as_str()) {
        (path, "") => path.to_owned(),
        ("", inner) => inner.to_owned(),
        (path, inner) => format!("{}/{inner}", path.trim_end_matches('/')),
    };
    let location = match base {
        Location::Local { path } => Location::Local { path: join(path) },
        Location::Session { session, path } => Location::Session {
            session: session.clone(),
            path: join(path),
        },
        Location::Folder { folder, path } => Location::Folder {
            folder: folder.clone(),
            path: join(path),
        },
    };
    if let Location::Local { path } | Location::Session { path, .. } = &location
        && NOT_FILES.contains(&path.as_str())
    {
        return (inner, Ok(Vec::new()));
    }
    let listed = super::list(context, FileRef { location }).await;
    (inner, listed.map(|listing| listing.entries))
}

/// What is looked for.
struct Pattern {
    text: String,
    glob: bool,
}

impl Pattern {
    fn new(query: &str) -> Result<Self, Failure> {
        let text = query.trim().to_lowercase();
        if text.is_empty() {
            let message = "say what to look for";
            return Err(Failure::new(FailureCode::InvalidInput, message));
        }
        Ok(Self {
            glob: text.contains(['*', '?']),
            text,
        })
    }

    fn fits(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        if !self.glob {
            return name.contains(&self.text);
        }
        let (pattern, name): (Vec<char>, Vec<char>) =
            (self.text.chars().collect(), name.chars().collect());
        glob(&pattern, &name)
    }
}

/// In time proportional to both lengths multiplied, whatever the pattern is.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some('?') => {
                at += 1;
                in_name += 1;
            }
            Some(one) if *one == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((stars_at, taken)) = star else {
                    return false;
                };
                star = Some((stars_at, taken + 1));
                at = stars_at + 1;
                in_name = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_by_part_or_by_pattern() {
        let fits = |query: &str, name: &str| Pattern::new(query).is_ok_and(|it| it.fits(name));
        assert!(fits("note", "My Notes.txt"));
        assert!(!fits("note", "todo.txt"));
        assert!(fits("*.TXT", "notes.txt"));
        assert!(!fits("*.txt", "notes.txt.gz"));
        assert!(fits("a?c*", "abcdef"));
        assert!(fits("*a*b*", "xxaxxbxx"));
        assert!(Pattern::new("  ").is_err());
    }
}
