//! Trees of files that belong to several ids of sessions. An ordinary user may neither give files
//! away nor touch what is not his, and root must not trust what a session left there: the runner
//! works on them, in a user namespace that has the ids and nothing else.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::Arc,
};

use protocol::runner::ids::{Owned, TreeOrder, TreeWork};

use crate::{
    Owner,
    ids::{Ids, Scheme},
};

/// How much of the runner's complaints is repeated.
const MOST_WORDS: u64 = 4096;

/// Who owns the trees of an engine's sessions, and who works on them.
#[derive(Clone, Debug, Default)]
pub struct Trees {
    runner: Option<PathBuf>,
    owner: Option<Owner>,
    ids: Option<Arc<Ids>>,
}

impl From<Option<Owner>> for Trees {
    /// Trees that are all `owner`'s.
    fn from(owner: Option<Owner>) -> Self {
        Self {
            owner,
            ..Self::default()
        }
    }
}

impl Trees {
    /// Trees of several owners where `ids` has them; `runner` is the program `gangway-runner`.
    #[must_use]
    pub fn new(runner: PathBuf, owner: Option<Owner>, ids: Option<Arc<Ids>>) -> Self {
        Self {
            runner: Some(runner),
            owner,
            ids,
        }
    }

    /// Whose everything is before it is given away.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// The ids that files can belong to; absent where all are the owner's.
    #[must_use]
    pub fn ids(&self) -> Option<&Arc<Ids>> {
        self.ids.as_ref()
    }

    /// How it is written down with which ids something was made.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        self.ids.as_ref().map(|ids| ids.scheme())
    }

    /// Gives a tree to root of the inside, but for `others`.
    pub(crate) fn own(&self, tree: &Path, others: Vec<Owned>) -> io::Result<()> {
        self.do_it(tree, TreeWork::Own { others })
    }

    /// Removes a tree, whoever its files belong to.
    pub(crate) fn remove(&self, tree: &Path) -> io::Result<()> {
        match removal::remove(tree) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.ids.is_some() => {
            }
            other => return other,
        }
        self.do_it(tree, TreeWork::Remove)?;
        fs::remove_dir(tree)
    }

    /// Reads an overlay's upper directory as the archive of a layer.
    pub(crate) fn pack(&self, tree: &Path) -> io::Result<Packing> {
        let mut child = self.start(tree, TreeWork::Pack)?;
        let (Some(archive), Some(words)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("its streams are missing"));
        };
        Ok(Packing {
            child,
            archive,
            words,
        })
    }

    fn do_it(&self, tree: &Path, work: TreeWork) -> io::Result<()> {
        let mut child = self.start(tree, work)?;
        drop(child.stdout.take());
        let mut words = child.stderr.take();
        finish(&mut child, words.as_mut())
    }

    fn start(&self, tree: &Path, work: TreeWork) -> io::Result<Child> {
        let runner = self
            .runner
            .as_ref()
            .ok_or_else(|| io::Error::other("there is no gangway-runner"))?;
        let order = TreeOrder {
            become_user: self.owner.map(|owner| (owner.uid, owner.gid)),
            ids: self.ids.as_ref().map(|ids| ids.plan()),
            work,
        };
        let mut child = Command::new(runner)
            .arg("tree")
            .env_clear()
            .current_dir(tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let written = match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(&serde_json::to_vec(&order)?),
            None => Ok(()),
        };
        match written {
            // It says itself why it has ended.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(child),
        }
    }
}

fn finish(child: &mut Child, words: Option<&mut ChildStderr>) -> io::Result<()> {
    let mut said = Vec::new();
    if let Some(words) = words {
        words.take(MOST_WORDS).read_to_end(&mut said)?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let said = said.trim().trim_start_matches("gangway-runner: ");
    tracing::warn!(%status, said, "gangway-runner could not work on a tree");
    // The words of `strerror`: the number is lost on the way.
    if said.contains("No space left") || said.contains("quota exceeded") {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    Err(io::Error::other(Refused(match said {
        "" => status.to_string(),
        said => said.to_owned(),
    })))
}

/// What `gangway-runner tree` said when it could not do its work: no fault of the image's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(String);

/// The archive of a layer that is being written. Its end comes only when it is whole.
#[derive(Debug)]
pub(crate) struct Packing {
    child: Child,
    archive: ChildStdout,
    words: ChildStderr,
}

impl Read for Packing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            finish(&mut self.child, Some(&mut self.words))?;
        }
        Ok(read)
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
