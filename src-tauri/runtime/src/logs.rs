//! Reads the log that a runner writes into two files in turn.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use futures_util::stream::{self, BoxStream, StreamExt};

use crate::RuntimeError;

/// Pause between two looks for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The last `tail` bytes, beginning with a whole line.
pub(crate) fn tail(files: &[PathBuf; 2], tail: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    for path in in_order(files) {
        match fs::read(path) {
            Ok(part) => bytes.extend(part),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut start = bytes.len().saturating_sub(tail);
    if start > 0 {
        let line = bytes[start..].iter().position(|byte| *byte == b'\n');
        start += line.map_or(0, |at| at + 1);
    }
    Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
}

/// The file that was written to last comes last.
fn in_order(files: &[PathBuf; 2]) -> [&PathBuf; 2] {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified()).ok();
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    // An empty file was never written to, whatever its time says.
    if size(&files[1]) > 0 && written(&files[1]) >= written(&files[0]) {
        [&files[0], &files[1]]
    } else {
        [&files[1], &files[0]]
    }
}

/// What is written from now on; ends soon after `ended` says so.
pub(crate) fn follow(
    files: [PathBuf; 2],
    ended: impl Fn() -> bool + Send + 'static,
) -> BoxStream<'static, Result<String, RuntimeError>> {
    let sizes = files
        .clone()
        .map(|path| fs::metadata(path).map_or(0, |found| found.len()));
    stream::unfold(
        (files, sizes, ended, false),
        |(files, mut sizes, ended, last)| async move {
            let mut last = last;
            loop {
                if last {
                    return None;
                }
                last = ended();
                let mut text = String::new();
                for (path, seen) in files.iter().zip(&mut sizes) {
                    if let Ok(part) = since(path, seen) {
                        text.push_str(&part);
                    }
                }
                if !text.is_empty() {
                    return Some((Ok(text), (files, sizes, ended, last)));
                }
                if !last {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        },
    )
    .boxed()
}

fn since(path: &PathBuf, seen: &mut u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size < *seen {
        // It was emptied for its next turn.
        *seen = 0;
    }
    file.seek(SeekFrom::Start(*seen))?;
    let mut bytes = Vec::new();
    file.take(size - *seen).read_to_end(&mut bytes)?;
    *seen = size;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_begins_with_a_whole_line_and_joins_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = [dir.path().join("log.0"), dir.path().join("log.1")];
        assert_eq!(tail(&files, 100).unwrap(), "");
        fs::write(&files[1], "").unwrap();
        fs::write(&files[0], "one\ntwo\n").unwrap();
        assert_eq!(tail(&files, 100).unwrap(), "one\ntwo\n");
        assert_eq!(tail(&files, 6).unwrap(), "two\n");
        fs::write(&files[1], "three\n").unwrap();
        assert_eq!(tail(&files, 100).unwrap(), "one\ntwo\nthree\n");
    }
}
