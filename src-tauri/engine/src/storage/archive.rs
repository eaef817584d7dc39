//! A directory, or chosen files, as a zip that is made while it is sent.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use cap_std::fs::Dir;
use tokio::sync::mpsc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::error::StorageError;
use super::folder::{Folder, open_regular};
use super::path::InnerPath;

/// How much is sent at once, in bytes, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

/// The pieces of an archive. An error in the middle ends the answer without its proper end, so that
/// a cut archive is never taken for a whole one.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

impl Folder {
    /// Packs `paths` (directories with all that is in them); the names in the archive are relative
    /// to `base`. Symbolic links, pipes and devices are left out.
    pub(crate) fn pack(self, base: InnerPath, paths: Vec<InnerPath>) -> Pieces {
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let _acting = self.acting();
            let out = BufWriter::with_capacity(PIECE, Channel(sender.clone()));
            if let Err(error) = write_archive(self.dir(), &base, &paths, out) {
                // The reader may be gone already, which is often why packing failed.
                let _ = sender.blocking_send(Err(io::Error::other(error)));
            }
        });
        pieces
    }
}

fn write_archive(
    dir: &Dir,
    base: &InnerPath,
    paths: &[InnerPath],
    out: impl Write,
) -> Result<(), StorageError> {
    let mut archive = ZipWriter::new_stream(out);
    for path in paths {
        let named = path
            .as_str()
            .strip_prefix(base.as_str())
            .unwrap_or(path.as_str());
        let name = named.trim_start_matches('/').to_owned();
        let at = |error| StorageError::at(path.as_str(), error);
        if dir.metadata(path.to_system()).map_err(at)?.is_dir() {
            let inner = dir.open_dir(path.to_system()).map_err(at)?;
            if !name.is_empty() {
                archive
                    .add_directory(&*name, options())
                    .map_err(io::Error::from)?;
            }
            add_directory(&mut archive, &inner, &name)?;
        } else {
            add_file(&mut archive, dir, path, &name)?;
        }
    }
    archive
        .finish()
        .map_err(io::Error::from)?
        .into_inner()
        .flush()?;
    Ok(())
}

fn add_directory<W: Write>(
    archive: &mut ZipWriter<zip::write::StreamWriter<W>>,
    dir: &Dir,
    prefix: &str,
) -> Result<(), StorageError> {
    for entry in dir.entries()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A name that isn't UTF-8 can't be said in a zip that every program reads.
        let Ok(own) = entry.file_name().into_string() else {
            continue;
        };
        let name = if prefix.is_empty() {
            own.clone()
        } else {
            format!("{prefix}/{own}")
        };
        if kind.is_dir() {
            archive
                .add_directory(&*name, options())
                .map_err(io::Error::from)?;
            add_directory(archive, &entry.open_dir()?, &name)?;
        } else if kind.is_file() {
            let Ok(path) = InnerPath::parse_inside(&own) else {
                continue;
            };
            add_file(archive, dir, &path, &name)?;
        }
    }
    Ok(())
}

fn add_file<W: Write>(
    archive: &mut ZipWriter<zip::write::StreamWriter<W>>,
    dir: &Dir,
    path: &InnerPath,
    name: &str,
) -> Result<(), StorageError> {
    let mut opened = open_regular(dir, path)?;
    // 4 GiB and more need the wide form, which must be chosen before the size is known for sure.
    let wide = opened.size >= u64::from(u32::MAX) / 2;
    archive
        .start_file(name, options().large_file(wide))
        .map_err(io::Error::from)?;
    io::copy(&mut opened.file, archive)?;
    Ok(())
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated)
}

/// The writing end: blocks while the reader is slower.
struct Channel(mpsc::Sender<io::Result<Bytes>>);

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(data)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
