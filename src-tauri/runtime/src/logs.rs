//! Reads the log that a runner writes into two files in turn.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::process::{Owned, watched};

/// Pause between two looks for new lines, where the computer does not tell of them.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pause between two looks where it does: nothing depends on this one.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(5);
/// The most that is read at once.
const PIECE: usize = 64 << 10;
/// In place of lines that were overwritten before anybody read them.
const SKIPPED: &str = "\n[lines are missing here: they came faster than they were read]\n";

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
    let found = files.each_ref().map(|path| fs::metadata(path).ok());
    match newer(&found.each_ref().map(Option::as_ref)) {
        1 => [&files[0], &files[1]],
        _ => [&files[1], &files[0]],
    }
}

fn newer(found: &[Option<&Metadata>; 2]) -> usize {
    let written = |at: usize| found[at].map(|found| (found.mtime(), found.mtime_nsec()));
    let size = found[1].map_or(0, Metadata::len);
    // An empty file was never written to, whatever its time says.
    usize::from(size > 0 && written(1) >= written(0))
}

/// Reads a log as it is written, from its last lines on. It goes on over a restart of the kernel,
/// and to the last line when the kernel is gone and its files are removed.
#[derive(Debug)]
pub struct LogFollower {
    files: [File; 2],
    /// The one that is read.
    current: usize,
    /// As far as it is read.
    offset: u64,
    /// What the other file was when the turn was the current one's: it stays so until the turn is
    /// its own. Absent when its turn has come already.
    other: Option<Seen>,
    /// The beginning of a character that is not whole yet.
    broken: Vec<u8>,
    changes: Option<AsyncFd<Owned>>,
}

/// Tells whether a file was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen(u64, i64, i64);

impl Seen {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self(found.len(), found.mtime(), found.mtime_nsec()))
    }
}

impl LogFollower {
    /// Begins with the last `tail` bytes that are there, from a whole line on. `None` when there is
    /// no log yet, or none any more.
    pub(crate) fn begin(paths: &[PathBuf; 2], tail: u64) -> io::Result<Option<Self>> {
        let open = |path: &Path| match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        // First, so that nothing is missed between a look and the next.
        let changes = changes(paths)
            .inspect_err(|error| tracing::debug!(%error, "a log is looked at now and then"))
            .ok();
        let (Some(one), Some(other)) = (open(&paths[0])?, open(&paths[1])?) else {
            return Ok(None);
        };
        let mut follower = Self {
            files: [one, other],
            current: 0,
            offset: 0,
            other: None,
            broken: Vec::new(),
            changes,
        };
        follower.rewind(tail)?;
        Ok(Some(follower))
    }

    /// Goes to where the last `tail` bytes begin.
    fn rewind(&mut self, tail: u64) -> io::Result<()> {
        let [one, other] = &self.files;
        let found = [one.metadata()?, other.metadata()?];
        let newer = newer(&found.each_ref().map(Some));
        let size = |at: usize| found[at].len();
        let begun = if tail > size(newer) {
            self.current = 1 - newer;
            self.other = None;
            size(1 - newer).saturating_sub(tail - size(newer))
        } else {
            self.current = newer;
            self.other = Some(Seen::of(&self.files[1 - newer])?);
            size(newer) - tail
        };
        self.offset = begun;
        if begun > 0 && tail > 0 {
            let (mut piece, file) = (vec![0; PIECE], &self.files[self.current]);
            let read = file.read_at(&mut piece, begun)?;
            let end = piece[..read].iter().position(|byte| *byte == b'\n');
            self.offset += end.map_or(0, |at| at as u64 + 1);
        }
        Ok(())
    }

    /// What is written next, as soon as it is.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn next(&mut self) -> io::Result<String> {
        loop {
            let text = self.take()?;
            if !text.is_empty() {
                return Ok(text);
            }
            self.change().await;
        }
    }

    /// What was written and not read yet, a piece of it; nothing at the end.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn take(&mut self) -> io::Result<String> {
        loop {
            let (file, other) = (&self.files[self.current], &self.files[1 - self.current]);
            let now = Seen::of(other)?;
            if file.metadata()?.len() < self.offset {
                // Emptied and begun anew: the other one had a whole turn meanwhile.
                self.rewind(u64::MAX)?;
                self.broken.clear();
                return Ok(SKIPPED.to_owned());
            }
            let mut piece = vec![0; PIECE];
            let read = file.read_at(&mut piece, self.offset)?;
            if read > 0 {
                piece.truncate(read);
                self.offset += read as u64;
                let text = self.text(piece);
                if !text.is_empty() {
                    return Ok(text);
                }
            } else if self.other != Some(now) {
                // It was looked at before: all that came before its turn has been read.
                self.other = Some(Seen::of(file)?);
                self.current = 1 - self.current;
                self.offset = 0;
            } else {
                return Ok(String::new());
            }
        }
    }

    /// Whole characters only.
    fn text(&mut self, piece: Vec<u8>) -> String {
        let mut bytes = std::mem::take(&mut self.broken);
        bytes.extend(piece);
        let whole = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // Broken for good somewhere; its end may still be the beginning of one.
            Err(_) => {
                let last = bytes.len().saturating_sub(3);
                let begins = bytes[last..].iter().rposition(|byte| *byte >= 0xc0);
                let begun = begins.map(|at| last + at);
                begun
                    .filter(|at| {
                        let end = std::str::from_utf8(&bytes[*at..]);
                        end.is_err_and(|error| error.error_len().is_none())
                    })
                    .unwrap_or(bytes.len())
            }
            Ok(_) => bytes.len(),
        };
        self.broken = bytes.split_off(whole);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until one of the files may have been written to.
    async fn change(&mut self) {
        let Some(changes) = &self.changes else {
            return tokio::time::sleep(LOOK_EVERY).await;
        };
        let changed = tokio::time::timeout(LOOK_ALL_THE_SAME, changes.readable()).await;
        if let Ok(Ok(mut ready)) = changed {
            let mut buffer = [0; 4096];
            // What was written is seen in the files themselves.
            while rustix::io::read(changes.get_ref(), &mut buffer).is_ok_and(|read| read > 0) {}
            ready.clear_ready();
        }
    }
}

fn changes(paths: &[PathBuf; 2]) -> io::Result<AsyncFd<Owned>> {
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    for path in paths {
        inotify::add_watch(&changes, path, WatchFlags::MODIFY)?;
    }
    watched(changes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Writes as the runner does.
    struct Writer {
        files: [File; 2],
        current: usize,
        written: usize,
        limit: usize,
    }

    impl Writer {
        fn new(paths: &[PathBuf; 2], limit: usize) -> Self {
            let open = |path| {
                File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap()
            };
            Self {
                files: paths.each_ref().map(open),
                current: 0,
                written: 0,
                limit,
            }
        }

        fn write(&mut self, bytes: &[u8]) {
            if self.written > 0 && self.written + bytes.len() > self.limit {
                self.current = 1 - self.current;
                self.written = 0;
                self.files[self.current].set_len(0).unwrap();
            }
            self.files[self.current].write_all(bytes).unwrap();
            self.written += bytes.len();
        }
    }

    fn paths(dir: &Path) -> [PathBuf; 2] {
        [dir.join("log.0"), dir.join("log.1")]
    }

    #[test]
    fn the_tail_begins_with_a_whole_line_and_joins_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = paths(dir.path());
        assert_eq!(tail(&files, 100).unwrap(), "");
        fs::write(&files[1], "").unwrap();
        fs::write(&files[0], "one\ntwo\n").unwrap();
        assert_eq!(tail(&files, 100).unwrap(), "one\ntwo\n");
        assert_eq!(tail(&files, 6).unwrap(), "two\n");
        fs::write(&files[1], "three\n").unwrap();
        assert_eq!(tail(&files, 100).unwrap(), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn a_follower_begins_with_the_last_lines_and_hears_of_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let files = paths(dir.path());
        assert!(LogFollower::begin(&files, 10).unwrap().is_none());
        let mut writer = Writer::new(&files, 16);
        for line in ["first line\n", "second line\n", "end\n"] {
            writer.write(line.as_bytes());
        }
        let mut part = LogFollower::begin(&files, 20).unwrap().unwrap();
        assert_eq!(
            part.take().unwrap() + &part.take().unwrap(),
            "second line\nend\n"
        );
        let mut none = LogFollower::begin(&files, 0).unwrap().unwrap();
        assert_eq!(none.take().unwrap(), "");
        let mut all = LogFollower::begin(&files, 1000).unwrap().unwrap();
        assert_eq!(all.take().unwrap(), "first line\n");
        assert_eq!(all.take().unwrap(), "second line\nend\n");
        // A turn later, and after the files have lost their names; half a character waits.
        for path in &files {
            fs::remove_file(path).unwrap();
        }
        writer.write("new \u{20ac}".as_bytes().split_at(5).0);
        assert_eq!(all.next().await.unwrap(), "new ");
        writer.write(&"\u{20ac}\n".as_bytes()[1..]);
        assert_eq!(all.next().await.unwrap(), "\u{20ac}\n");
        assert_eq!(
            (all.take().unwrap(), none.take().unwrap()),
            (String::new(), "new \u{20ac}\n".to_owned())
        );
    }

    #[tokio::test]
    async fn what_nobody_read_in_time_is_said_to_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let files = paths(dir.path());
        let mut writer = Writer::new(&files, 8);
        writer.write(b"1234567\n");
        let mut follower = LogFollower::begin(&files, 100).unwrap().unwrap();
        assert_eq!(follower.take().unwrap(), "1234567\n");
        for line in [&b"lost one\n"[..], b"abcdef\n", b"xy\n"] {
            writer.write(line);
        }
        assert_eq!(follower.take().unwrap(), SKIPPED);
        assert_eq!(follower.take().unwrap(), "abcdef\n");
        assert_eq!(follower.take().unwrap(), "xy\n");
    }

    proptest! {
        #[test]
        fn a_follower_that_keeps_up_reads_every_byte(
            lines in prop::collection::vec(("[a-z\u{e9}\u{20ac}\u{1f600}]{0,12}", 0_u8..3), 0..60),
            limit in 8_usize..200,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _inside = runtime.enter();
            let dir = tempfile::tempdir().unwrap();
            let files = paths(dir.path());
            let mut writer = Writer::new(&files, limit);
            let mut follower = LogFollower::begin(&files, 1000).unwrap().unwrap();
            let (mut said, mut heard) = (String::new(), String::new());
            let mut unread = 0;
            for (text, pause) in lines {
                let line = format!("{text}\n");
                // At most one turn behind: more can be lost.
                if unread + line.len() > limit / 2 || pause == 0 {
                    loop {
                        let text = follower.take().unwrap();
                        if text.is_empty() { break }
                        heard.push_str(&text);
                    }
                    unread = 0;
                }
                writer.write(line.as_bytes());
                unread += line.len();
                said.push_str(&line);
            }
            loop {
                let text = follower.take().unwrap();
                if text.is_empty() { break }
                heard.push_str(&text);
            }
            prop_assert_eq!(heard, said);
        }
    }
}
