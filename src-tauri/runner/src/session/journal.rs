//! The session's log: what its job, its bootstrap script and its apps print.
//!
//! Two files take turns, so that the log never takes more than twice the limit: when one is full,
//! the other is emptied and used.

use std::{
    fs::{File, Metadata},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    sync::{Mutex, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Writes the log.
pub(super) struct Journal {
    turn: Mutex<Turn>,
    limit: u64,
}

struct Turn {
    files: [File; 2],
    current: usize,
    written: u64,
}

impl Journal {
    /// Goes on in the file that an earlier run of the session wrote to last.
    pub(super) fn new(files: [File; 2], limit: u64) -> Self {
        let (current, written) = last(&files);
        Self {
            turn: Mutex::new(Turn {
                files,
                current,
                written,
            }),
            limit,
        }
    }

    /// Appends; a full disk loses log lines, not the session.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = turn.append(bytes, self.limit) {
            tracing::warn!(%error, "log lines are lost");
        }
    }

    /// Copies all that a stream says into the log, and shows it to `also`.
    pub(super) async fn drain(&self, mut from: impl AsyncRead + Unpin, also: impl Fn(&[u8])) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.write(&buffer[..read]);
            also(&buffer[..read]);
        }
    }
}

/// Which of the files was written to last, and how much is in it.
fn last(files: &[File; 2]) -> (usize, u64) {
    let [one, other] = files.each_ref().map(|file| file.metadata().ok());
    let (Some(one), Some(other)) = (one, other) else {
        return (0, 0);
    };
    let written = |found: &Metadata| (found.mtime(), found.mtime_nsec());
    if other.len() > 0 && written(&other) >= written(&one) {
        (1, other.len())
    } else {
        (0, one.len())
    }
}

impl Turn {
    fn append(&mut self, bytes: &[u8], limit: u64) -> io::Result<()> {
        if self.written > 0 && self.written + bytes.len() as u64 > limit {
            self.current = 1 - self.current;
            self.written = 0;
            let file = &mut self.files[self.current];
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
        }
        self.files[self.current].write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}
