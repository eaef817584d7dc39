//! The owner-only socket on which the host serves other programs of the same user.

use std::io;
use std::os::unix::fs::PermissionsExt;

use settings::Paths;
use tokio::net::{UnixListener, UnixStream};

/// Listens. Whoever holds the proxy lock may replace a socket that an earlier host left behind.
///
/// # Errors
/// When the runtime folder is not private or the socket can't be made.
pub fn bind(paths: &Paths) -> io::Result<UnixListener> {
    settings::private_dir(&paths.runtime_dir).map_err(io::Error::other)?;
    let path = paths.proxy_socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the next connection of the same user; those of others are dropped.
///
/// # Errors
/// When accepting fails.
pub async fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = listener.accept().await?;
        if is_same_user(&stream) {
            return Ok(stream);
        }
        tracing::warn!("refused another user on the proxy socket");
    }
}

/// Connects to the host, if it belongs to the same user.
///
/// # Errors
/// When nobody listens, or somebody else does.
pub async fn connect(paths: &Paths) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(paths.proxy_socket()).await?;
    if is_same_user(&stream) {
        Ok(stream)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

fn is_same_user(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw())
}
