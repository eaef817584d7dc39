//! What a registry offers, and how its content comes here.

use std::{io::SeekFrom, path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt;
use oci_client::{
    Client, Reference,
    client::{BlobResponse, ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use super::{
    Digest, ImageError,
    manifest::{Config, Descriptor, MOST_TEXT, Manifest},
};

const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Names on one page of a list.
const PAGE: usize = 500;
/// Pages of a list that are read at most.
const MOST_PAGES: usize = 1000;
/// How often a broken download goes on, when none of the tries brings anything new.
const TRIES: u32 = 4;
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// A download that brings nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(60);

/// How to reach a registry.
#[derive(Clone)]
pub struct RegistryAccess {
    /// `http://` or `https://`, host and port; a path is ignored.
    pub url: String,
    /// Who logs in; nobody when empty.
    pub username: String,
    /// Password of that user. With the user `<token>` a token to be shown as it is.
    pub password: String,
    /// Whether its certificate must be one that this computer trusts.
    pub verify_tls: bool,
}

impl RegistryAccess {
    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |it| it.1);
        rest.split('/').next().unwrap_or_default()
    }
}

impl std::fmt::Debug for RegistryAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAccess")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// An image as its registry describes it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Of its manifest.
    pub digest: Digest,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Bytes to be downloaded.
    pub size_bytes: u64,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// A manifest and its configuration.
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) config_text: Vec<u8>,
    pub(super) config: Config,
}

/// A registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    auth: RegistryAuth,
    host: Arc<str>,
}

impl Registry {
    /// Talks to nobody yet.
    ///
    /// # Errors
    /// [`ImageError::Registry`] when the address is none.
    pub fn new(access: &RegistryAccess) -> Result<Self, ImageError> {
        let host = access.host();
        let protocol = match access.url.split_once("://") {
            Some(("http", _)) => ClientProtocol::HttpsExcept(vec![host.to_owned()]),
            Some(("https", _)) => ClientProtocol::Https,
            _ => {
                let text = format!("{} begins with neither http:// nor https://", access.url);
                return Err(ImageError::Registry(text));
            }
        };
        let config = ClientConfig {
            protocol,
            accept_invalid_certificates: !access.verify_tls,
            connect_timeout: Some(CONNECT_LIMIT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("gangway/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client =
            Client::try_from(config).map_err(|error| ImageError::Registry(error.to_string()))?;
        let auth = match access.username.as_str() {
            "" => RegistryAuth::Anonymous,
            "<token>" => RegistryAuth::Bearer(access.password.clone()),
            user => RegistryAuth::Basic(user.to_owned(), access.password.clone()),
        };
        Ok(Self {
            client,
            auth,
            host: host.into(),
        })
    }

    /// Names of all repositories.
    ///
    /// # Errors
    /// When the registry refuses or can't be reached.
    pub async fn repositories(&self) -> Result<Vec<String>, ImageError> {
        // The list belongs to the registry; the library wants a repository all the same.
        let any = self.reference("catalog:latest")?;
        let mut all: Vec<String> = Vec::new();
        for _ in 0..MOST_PAGES {
            let last = all.last().cloned();
            let page = self
                .client
                .catalog(&any, &self.auth, Some(PAGE), last.as_deref())
                .await
                .map_err(|error| self.explain("list of repositories", error))?;
            let count = page.repositories.len();
            all.extend(page.repositories);
            if count < PAGE {
                break;
            }
        }
        Ok(all)
    }

    /// Tags of a repository.
    ///
    /// # Errors
    /// When the registry refuses or can't be reached.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, ImageError> {
        let reference = self.reference(&format!("{repository}:latest"))?;
        let mut all: Vec<String> = Vec::new();
        for _ in 0..MOST_PAGES {
            let last = all.last().cloned();
            let page = self
                .client
                .list_tags(&reference, &self.auth, Some(PAGE), last.as_deref())
                .await
                .map_err(|error| self.explain(repository, error))?;
            let count = page.tags.len();
            all.extend(page.tags);
            if count < PAGE {
                break;
            }
        }
        Ok(all)
    }

    /// Describes an image without fetching it. `name` has no host: `project/name:tag`.
    ///
    /// # Errors
    /// When there is no such image, none for this computer, or the registry can't be reached.
    pub async fn describe(&self, name: &str) -> Result<Described, ImageError> {
        let found = self.find(name).await?;
        Ok(Described {
            digest: found.digest,
            architecture: found.config.architecture.clone(),
            size_bytes: found.manifest.layers.iter().map(|layer| layer.size).sum(),
            labels: found.config.labels,
        })
    }

    pub(super) async fn find(&self, name: &str) -> Result<Found, ImageError> {
        let reference = self.reference(name)?;
        let (mut digest, mut manifest) = self.manifest(&reference, name).await?;
        if manifest.config.is_none() {
            let chosen = manifest.choose()?.digest.clone();
            let one = reference.clone_with_digest(chosen.to_string());
            (digest, manifest) = self.manifest(&one, name).await?;
        }
        let Some(config) = manifest.config.clone() else {
            return Err(ImageError::Malformed("it has no configuration".to_owned()));
        };
        let config_text = self.text(&reference, &config).await?;
        let config = Config::parse(&config_text)?;
        config.check_platform()?;
        if config.layers.len() != manifest.layers.len() {
            let text = "its manifest and its configuration disagree about the layers";
            return Err(ImageError::Malformed(text.to_owned()));
        }
        Ok(Found {
            digest,
            manifest,
            config_text,
            config,
        })
    }

    async fn manifest(
        &self,
        reference: &Reference,
        name: &str,
    ) -> Result<(Digest, Manifest), ImageError> {
        let (text, _) = self
            .client
            .pull_manifest_raw(reference, &self.auth, ACCEPTED)
            .await
            .map_err(|error| self.explain(name, error))?;
        let digest = Digest::of(&text);
        if let Some(wanted) = reference.digest()
            && wanted != digest.to_string()
        {
            return Err(ImageError::Digest("its manifest".to_owned()));
        }
        Ok((digest, Manifest::parse(&text)?))
    }

    /// A small blob, whole.
    async fn text(
        &self,
        reference: &Reference,
        wanted: &Descriptor,
    ) -> Result<Vec<u8>, ImageError> {
        let what = "its configuration";
        self.client
            .store_auth_if_needed(reference.resolve_registry(), &self.auth)
            .await;
        let digest = wanted.digest.to_string();
        let mut blob = self
            .client
            .pull_blob_stream(reference, digest.as_str())
            .await
            .map_err(|error| self.explain(what, error))?
            .stream;
        let mut text = Vec::new();
        while let Some(chunk) = blob.next().await {
            text.extend_from_slice(&chunk.map_err(|error| self.broken(what, &error))?);
            if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_TEXT {
                return Err(ImageError::Malformed(format!("{what} is too long")));
            }
        }
        if Digest::of(&text) != wanted.digest {
            return Err(ImageError::Digest(what.to_owned()));
        }
        Ok(text)
    }

    /// Fetches a blob into `target`, by way of `part`, of which what is there already is not
    /// fetched again. `came` hears of every piece.
    pub(super) async fn fetch(
        &self,
        name: &str,
        wanted: &Descriptor,
        part: &Path,
        target: &Path,
        came: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ImageError> {
        let reference = self.reference(name)?;
        let doing = "keep what comes from the registry";
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(part)
            .await
            .map_err(ImageError::io(doing))?;
        let mut hasher = Sha256::new();
        let mut have = take_up(&mut file, wanted.size, &mut hasher)
            .await
            .map_err(ImageError::io(doing))?;
        came(have);
        let mut tries = 0;
        while have < wanted.size {
            let before = have;
            let broken = self
                .piece(&reference, wanted, &mut file, &mut hasher, &mut have, came)
                .await;
            match broken {
                Ok(()) if have >= wanted.size => break,
                Err(error) if !error.is_passing() => return Err(error),
                outcome => {
                    tries = if have > before { 0 } else { tries + 1 };
                    if tries >= TRIES {
                        let short = || {
                            let text = format!("{have} of {} bytes came", wanted.size);
                            ImageError::Unreachable(text)
                        };
                        return Err(outcome.err().unwrap_or_else(short));
                    }
                    tracing::info!(have, size = wanted.size, "a download broke; it goes on");
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
            }
        }
        file.flush().await.map_err(ImageError::io(doing))?;
        drop(file);
        if have != wanted.size || Digest::from_hasher(hasher) != wanted.digest {
            // What is wrong can't be gone on with.
            let _ = tokio::fs::remove_file(part).await;
            return Err(ImageError::Digest(format!("the layer {}", wanted.digest)));
        }
        tokio::fs::rename(part, target)
            .await
            .map_err(ImageError::io(doing))
    }

    /// One connection's worth.
    async fn piece(
        &self,
        reference: &Reference,
        wanted: &Descriptor,
        file: &mut File,
        hasher: &mut Sha256,
        have: &mut u64,
        came: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ImageError> {
        let doing = "keep what comes from the registry";
        self.client
            .store_auth_if_needed(reference.resolve_registry(), &self.auth)
            .await;
        let digest = wanted.digest.to_string();
        let response = self
            .client
            .pull_blob_stream_partial(reference, digest.as_str(), *have, None)
            .await
            .map_err(|error| self.explain(&digest, error))?;
        let mut stream = match response {
            BlobResponse::Partial(stream) => stream.stream,
            // It does not know how to go on: from the start.
            BlobResponse::Full(stream) => {
                file.set_len(0).await.map_err(ImageError::io(doing))?;
                file.rewind().await.map_err(ImageError::io(doing))?;
                *hasher = Sha256::new();
                *have = 0;
                stream.stream
            }
        };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.broken(&digest, &error))?;
            let count = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if *have + count > wanted.size {
                // Neither is more than was promised the thing that was asked for.
                *have = u64::MAX;
                return Ok(());
            }
            file.write_all(&chunk)
                .await
                .map_err(ImageError::io(doing))?;
            hasher.update(&chunk);
            *have += count;
            came(count);
        }
        Ok(())
    }

    fn reference(&self, name: &str) -> Result<Reference, ImageError> {
        Reference::try_from(format!("{}/{name}", self.host))
            .ok()
            .filter(|reference| reference.registry() == &*self.host)
            .ok_or_else(|| ImageError::Reference(name.to_owned()))
    }

    fn broken(&self, what: &str, error: &std::io::Error) -> ImageError {
        if error.to_string().to_ascii_lowercase().contains("digest") {
            return ImageError::Digest(what.to_owned());
        }
        ImageError::Unreachable(format!("{}: {error}", self.host))
    }

    fn explain(&self, what: &str, error: OciDistributionError) -> ImageError {
        use OciDistributionError as E;
        let host = self.host.to_string();
        match error {
            E::AuthenticationFailure(_) | E::UnauthorizedError { .. } => {
                ImageError::Unauthorized(host)
            }
            E::ImageManifestNotFoundError(_) => ImageError::NotFound(what.to_owned()),
            E::DigestError(_) => ImageError::Digest(what.to_owned()),
            E::RequestError(error) => {
                let error = error.without_url();
                let mut text = format!("{host}: {error}");
                let mut cause = std::error::Error::source(&error);
                while let Some(error) = cause {
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                ImageError::Unreachable(text)
            }
            E::IoError(error) => ImageError::Unreachable(format!("{host}: {error}")),
            E::ServerError { code: 404, .. } => ImageError::NotFound(what.to_owned()),
            E::ServerError {
                code: 401 | 403, ..
            } => ImageError::Unauthorized(host),
            E::ServerError { code, .. } if code >= 500 => {
                ImageError::Unreachable(format!("{host} answers {code}"))
            }
            E::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(first) => match first.code {
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::BlobUnknown
                    | OciErrorCode::NotFound => ImageError::NotFound(what.to_owned()),
                    OciErrorCode::Unauthorized | OciErrorCode::Denied => {
                        ImageError::Unauthorized(host)
                    }
                    OciErrorCode::Toomanyrequests => {
                        ImageError::Unreachable(format!("{host}: too many requests"))
                    }
                    _ => ImageError::Registry(first.message.clone()),
                },
                None => ImageError::Registry(format!("{what}: nothing")),
            },
            other => ImageError::Registry(other.to_string()),
        }
    }
}

/// Goes on with what an earlier try left: gives how much that is. It is read once, for the digest.
async fn take_up(file: &mut File, size: u64, hasher: &mut Sha256) -> std::io::Result<u64> {
    if file.metadata().await?.len() > size {
        file.set_len(0).await?;
    }
    let mut buffer = vec![0; 256 << 10];
    let mut have = 0;
    file.seek(SeekFrom::Start(0)).await?;
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(have);
        }
        hasher.update(&buffer[..read]);
        have += u64::try_from(read).unwrap_or(u64::MAX);
    }
}
