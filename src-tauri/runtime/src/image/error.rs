//! What can go wrong with an image.

use std::io;

use rustix::io::Errno;

use crate::trees::Refused;

/// Why an image can't be had, unpacked or made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference is no name of an image.
    #[error("\"{0}\" is not the name of an image")]
    Reference(String),
    /// Wrong or missing credentials.
    #[error("the registry {0} does not let us in")]
    Unauthorized(String),
    /// No such repository, tag or digest.
    #[error("the registry has no {0}")]
    NotFound(String),
    /// The connection can't be made, or broke too often.
    #[error("the registry can't be reached: {0}")]
    Unreachable(String),
    /// The registry said something else.
    #[error("the registry answered: {0}")]
    Registry(String),
    /// What came is not what its digest says.
    #[error("{0} is not what its digest says")]
    Digest(String),
    /// The content does not follow the format.
    #[error("the image is malformed: {0}")]
    Malformed(String),
    /// Nothing in it runs on this computer.
    #[error("the image is made for {0}, which this computer is not")]
    Platform(String),
    /// More than the quota for one image.
    #[error("the image takes more than {0} bytes unpacked, which is the limit")]
    TooLarge(u64),
    /// No space left, or less than is kept free.
    #[error("the disk that holds the images is full")]
    DiskFull,
    /// The operating system refused.
    #[error("can't {doing}")]
    Io {
        /// What was tried: follows "can't".
        doing: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err`: says what was tried. What is no error of the operating system is one of the
    /// content.
    pub(super) fn io<E: Into<io::Error>>(doing: &str) -> impl FnOnce(E) -> Self + '_ {
        move |source| {
            let source = source.into();
            let refused = source.get_ref().is_some_and(|inner| inner.is::<Refused>());
            match source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull,
                None if !refused => Self::Malformed(source.to_string()),
                _ => Self::Io {
                    doing: doing.to_owned(),
                    source,
                },
            }
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trees;

    #[test]
    fn what_the_runner_says_of_a_tree_reaches_the_reader() {
        // Stands for a runner that can't do what it was told.
        let folder = tempfile::tempdir().unwrap();
        let runner = folder.path().join("runner");
        for (words, shown) in [
            ("no map of ids", "can't remove a layer: no map of ids"),
            (
                "No space left on device",
                "the disk that holds the images is full",
            ),
        ] {
            // Written by another process: one that this one begins meanwhile would hold it open.
            let script = format!("cat >/dev/null\necho 'gangway-runner: {words}' >&2\nexit 1");
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", write]).arg(&runner).arg(script);
            assert!(shell.status().unwrap().success());
            let trees = Trees::new(runner.clone(), None, None);
            let packed = trees.pack(folder.path()).unwrap();
            let ended = std::io::read_to_string(packed).unwrap_err();
            let error = ImageError::io("remove a layer")(ended);
            let source = std::error::Error::source(&error);
            let chain = [Some(error.to_string()), source.map(ToString::to_string)];
            let chain: Vec<String> = chain.into_iter().flatten().collect();
            assert_eq!(chain.join(": "), shown);
        }
    }
}
