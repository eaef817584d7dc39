//! The way to a manager, where it is not the system's own.

use crate::{Client, Error};

/// Through what, and trusting whom.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Address of a proxy: `http://`, `https://` (HTTP CONNECT), `socks5://` or `socks5h://`
    /// (which looks names up itself), with a name and password where it wants them. `None`: as the
    /// system says.
    pub proxy: Option<String>,
    /// Certificates in PEM that are trusted beside the system's.
    pub certificates: Option<Vec<u8>>,
}

impl std::fmt::Debug for Network {
    /// Without the proxy's address: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy.is_some())
            .field("certificates", &self.certificates.is_some())
            .finish()
    }
}

impl Network {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`Error::Request`] for an address that is none of a proxy, or a file without certificates.
    pub fn check(&self) -> Result<(), Error> {
        self.apply(reqwest::Client::builder()).map(drop)
    }

    pub(crate) fn apply(
        &self,
        mut builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, Error> {
        if let Some(proxy) = &self.proxy {
            let known = ["http://", "https://", "socks5://", "socks5h://"];
            let bad = || {
                Error::Request(
                    "the proxy's address has to begin with http://, https://, socks5:// or \
                     socks5h://"
                        .to_owned(),
                )
            };
            if !known.iter().any(|scheme| proxy.starts_with(scheme)) {
                return Err(bad());
            }
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|_| bad())?);
        }
        if let Some(certificates) = &self.certificates {
            let bad = || Error::Request("the file holds no certificates in PEM".to_owned());
            let all = reqwest::Certificate::from_pem_bundle(certificates).map_err(|_| bad())?;
            if all.is_empty() {
                return Err(bad());
            }
            for certificate in all {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(builder)
    }
}

impl Client {
    /// The same manager, reached another way. For a client that has sent nothing yet.
    #[must_use]
    pub fn through(self, network: Network) -> Self {
        self.with_network(network)
    }
}
