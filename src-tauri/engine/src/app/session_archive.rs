//! The files of a running session as one archive on this computer (protocol pages "Sessions" §10,
//! "Semantics" §11). It holds what is in the session's home and would go with it; what a session
//! changed of its image is saved as an image.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use runtime::Kernel;
use uuid::Uuid;

use super::background;
use super::image_commit::Commit;
use super::session::{self, runtime_problem};
use crate::error::Problem;
use crate::state::App;
use crate::store;
use crate::store::kernel::Kernel as KernelRow;
use crate::store::session::Session;

/// The directory of archives, in the engine's data.
const DIRECTORY: &str = "commits";
/// What begins the name of something that is not finished; the process that makes it follows.
const UNFINISHED: &str = ".unfinished";
/// So much of a session's name is in its archive's.
const NAME: usize = 10;

/// An archive that is being made.
pub(crate) struct Archive {
    /// Tells how far it is.
    pub(crate) task: Uuid,
    /// Of which kernel.
    pub(crate) kernel: Uuid,
    /// Where it will lie.
    pub(crate) path: PathBuf,
}

/// Begins to pack the files of a session, which can't be ended meanwhile but by force.
pub(crate) async fn pack(
    app: &App,
    session: &Session,
    kernels: &[KernelRow],
) -> Result<Archive, Problem> {
    let kernel = session::main_kernel(app, session, kernels)?;
    let commit = Commit::begin(app, session.id)?;
    let owner = session.user;
    let email = app
        .store
        .read(move |db| -> Result<_, Problem> { Ok(store::user::get(db, owner)?) })
        .await?
        .map(|user| user.email)
        .ok_or_else(Problem::no_session)?;
    let directory = app.data_dir.join(DIRECTORY).join(plain(&email));
    let path = directory.join(file_name(session, (app.clock)()));
    let id = kernel.id();
    let target = path.clone();
    let task = background::start(app, owner, move |_, report| async move {
        report.step(0.0, 2.0, "Commit started");
        let unfinished = Unfinished::make(&directory).map_err(|error| trouble(&error))?;
        let work = async {
            collect(kernel, unfinished.files.clone()).await?;
            report.step(1.0, 2.0, "Collected files");
            unfinished.pack(target).await
        };
        tokio::select! {
            done = work => done?,
            () = commit.is_broken_off() => {
                return Err(Problem::internal("The session was terminated by force."));
            }
        }
        report.step(2.0, 2.0, "Completed");
        Ok("The files of the session are packed.".to_owned())
    });
    Ok(Archive {
        task,
        kernel: id,
        path,
    })
}

/// `2026-08-23T01h02m03s_train-1_python-3.9.tar.gz`: time, beginning of the name, image.
fn file_name(session: &Session, now: Timestamp) -> String {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%Hh%Mm%Ss");
    let name: String = session.name.chars().take(NAME).collect();
    let image = session.image.rsplit('/').next().unwrap_or_default();
    format!("{time}_{}_{}.tar.gz", plain(&name), plain(image))
}

/// As the name of a file: nothing in it leads elsewhere.
fn plain(text: &str) -> String {
    let one = |c: char| match c {
        '@' | '.' | '_' | '+' => c,
        c if c.is_alphanumeric() => c,
        _ => '-',
    };
    let text: String = text.chars().map(one).collect();
    match text.strip_prefix('.') {
        Some(rest) => format!("-{rest}"),
        None => text,
    }
}

async fn collect(kernel: Arc<dyn Kernel>, files: PathBuf) -> Result<(), Problem> {
    let directory = File::open(&files).map_err(|error| trouble(&error))?;
    let saved = kernel.save_unsaved(OwnedFd::from(directory)).await;
    saved.map(|_| ()).map_err(runtime_problem)
}

fn trouble(error: &io::Error) -> Problem {
    Problem::internal(format!("The session's files can't be packed: {error}."))
}

/// A directory for what is not finished, which goes when this value goes.
struct Unfinished {
    root: PathBuf,
    files: PathBuf,
}

impl Unfinished {
    /// Makes it, and removes what a killed engine has left.
    fn make(directory: &Path) -> io::Result<Self> {
        let private = || {
            let mut builder = fs::DirBuilder::new();
            builder.mode(0o700).recursive(true);
            builder
        };
        private().create(directory)?;
        let ours = format!("{UNFINISHED}-{}-", std::process::id());
        for entry in fs::read_dir(directory)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) && !name.starts_with(&ours) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let root = directory.join(format!("{ours}{}", Uuid::now_v7().simple()));
        let files = root.join("files");
        let made = Self { root, files };
        private().create(&made.files)?;
        Ok(made)
    }

    /// Packs the collected files; the archive is there when it is whole.
    async fn pack(&self, target: PathBuf) -> Result<(), Problem> {
        let (files, archive) = (self.files.clone(), self.root.join("archive"));
        tokio::task::spawn_blocking(move || {
            write(&files, &archive)?;
            fs::rename(&archive, &target)
        })
        .await
        .map_err(|_| Problem::internal("Packing stopped in the middle of its work."))?
        .map_err(|error| trouble(&error))
    }
}

fn write(files: &Path, archive: &Path) -> io::Result<()> {
    let out = GzEncoder::new(File::create_new(archive)?, Compression::fast());
    let mut tar = tar::Builder::new(out);
    tar.follow_symlinks(false);
    tar.append_dir_all("", files)?;
    tar.into_inner()?.finish()?.sync_all()
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!(path = %self.root.display(), %error, "is left over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(plain("root@localhost"), "root@localhost");
        assert_eq!(plain("../../etc/passwd"), "-.-..-etc-passwd");
        assert_eq!(plain("python:3.9"), "python-3.9");
    }
}
