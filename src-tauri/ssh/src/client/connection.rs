//! One SSH connection over a byte stream that somebody else opened.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred, cipher, compression};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

use super::{Error, KnownHosts, PrivateKey, PublicKey};

/// What may be on its way to us on one channel before the server waits. The usual 2 MiB caps a
/// download at 40 MB/s over 50 ms.
const WINDOW: u32 = 16 << 20;
/// The largest packet that OpenSSH sends.
const MAX_PACKET: u32 = 32 << 10;
/// One read of the stream takes many packets; without it each packet costs two reads.
const READ_BUFFER: usize = 256 << 10;
/// A silent server is asked after so long, and given up after so many questions without answer.
const KEEPALIVE: (Duration, usize) = (Duration::from_secs(15), 4);

/// Which server key is right.
#[derive(Debug, Clone)]
pub enum HostKey {
    /// This one; the manager told us.
    Exactly(PublicKey),
    /// The one noted under this name; noted now when there is none.
    Known {
        /// Our file of known hosts.
        file: KnownHosts,
        /// The name in it.
        name: String,
    },
}

/// How to log in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The login name.
    pub user: String,
    /// The person's key.
    pub key: PrivateKey,
    /// How the server proves itself.
    pub host_key: HostKey,
}

/// A connection that is logged in. Cheap to clone; it ends when the last clone, and everything
/// opened on it, is gone.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle<Handler>>,
}

impl Connection {
    /// Speaks SSH over `stream` and logs in.
    ///
    /// # Errors
    /// [`Error`]: the server proves itself with the wrong key, does not accept ours, or the stream
    /// fails.
    pub async fn connect<S>(stream: S, login: &Login) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let refusal = Arc::default();
        let handler = Handler {
            host_key: login.host_key.clone(),
            refusal: Arc::clone(&refusal),
        };
        let stream = BufReader::with_capacity(READ_BUFFER, stream);
        let taken = |error| match lock(&refusal).take() {
            Some(reason) => reason,
            None => Error::Protocol(error),
        };
        let mut handle = client::connect_stream(Arc::new(config()), stream, handler)
            .await
            .map_err(taken)?;
        let hash = if login.key.0.algorithm().is_rsa() {
            handle.best_supported_rsa_hash().await?.flatten()
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(login.key.0.clone()), hash);
        match handle.authenticate_publickey(&login.user, key).await? {
            AuthResult::Success => Ok(Self {
                handle: Arc::new(handle),
            }),
            // The library says so too when the link was cut before the server said anything.
            AuthResult::Failure {
                remaining_methods, ..
            } if remaining_methods.is_empty() && ends_now(&mut handle).await => Err(Error::Closed),
            AuthResult::Failure { .. } => Err(Error::Refused {
                user: login.user.clone(),
            }),
        }
    }

    /// Whether the connection is known to be gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// A byte stream to a port as seen from the session.
    ///
    /// # Errors
    /// [`Error::Protocol`] when nothing listens there or the server does not forward.
    pub async fn direct_tcpip(
        &self,
        host: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Error> {
        let channel = self
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
            .await?;
        Ok(channel.into_stream())
    }

    /// Says good-bye. Everything opened on the connection ends.
    pub async fn close(&self) {
        let _ = self
            .handle
            .disconnect(Disconnect::ByApplication, "", "en")
            .await;
    }

    pub(super) async fn session(&self) -> Result<russh::Channel<client::Msg>, Error> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        Ok(self.handle.channel_open_session().await?)
    }
}

/// Whether the connection is over, or will be in a moment: its task tells of an answer that never
/// comes just before it ends.
async fn ends_now(handle: &mut Handle<Handler>) -> bool {
    const MOMENT: Duration = Duration::from_millis(200);
    tokio::time::timeout(MOMENT, handle).await.is_ok()
}

fn config() -> client::Config {
    let aes = [cipher::AES_256_GCM, cipher::AES_128_GCM];
    let chacha = [cipher::CHACHA20_POLY1305];
    let rest = [
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    let ciphers = if has_aes() {
        [&aes[..], &chacha, &rest].concat()
    } else {
        [&chacha[..], &aes, &rest].concat()
    };
    client::Config {
        window_size: WINDOW,
        maximum_packet_size: MAX_PACKET,
        // Packets of one channel that may wait for their reader before the whole connection
        // waits.
        channel_buffer_size: 1000,
        nodelay: true,
        keepalive_interval: Some(KEEPALIVE.0),
        keepalive_max: KEEPALIVE.1,
        preferred: Preferred {
            cipher: Cow::Owned(ciphers),
            // Session traffic is data sets and archives: compressing costs more than it saves.
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        },
        ..client::Config::default()
    }
}

/// AES in hardware makes GCM two to three times cheaper than ChaCha20; without, it is the reverse.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("aes")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

struct Handler {
    host_key: HostKey,
    /// Why the server's key was refused: the library only tells that it was.
    refusal: Arc<std::sync::Mutex<Option<Error>>>,
}

impl Handler {
    fn check(&self, key: &PublicKey) -> Result<(), Error> {
        match &self.host_key {
            HostKey::Exactly(known) if known.is_same(key) => Ok(()),
            HostKey::Exactly(_) => Err(Error::HostKeyChanged {
                name: "the session".to_owned(),
            }),
            HostKey::Known { file, name } => match file.get(name)? {
                Some(known) if known.is_same(key) => Ok(()),
                Some(_) => Err(Error::HostKeyChanged { name: name.clone() }),
                None => Ok(file.set(name, key)?),
            },
        }
    }
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        // We ask for no certificates.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        match self.check(&PublicKey(key.clone())) {
            Ok(()) => Ok(true),
            Err(error) => {
                *lock(&self.refusal) = Some(error);
                Ok(false)
            }
        }
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
