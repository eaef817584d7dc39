//! What can go wrong with an image.

use std::io;

use rustix::io::Errno;

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
            match source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull,
                Some(_) => Self::Io {
                    doing: doing.to_owned(),
                    source,
                },
                None => Self::Malformed(source.to_string()),
            }
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
