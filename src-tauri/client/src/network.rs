//! The way to a manager, where it is not the system's own.

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::NoProxy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificate::{self, Pins};
use crate::{Client, Error};

/// Addresses of proxies begin so.
const SCHEMES: [&str; 4] = ["http://", "https://", "socks5://", "socks5h://"];

/// Through what, and trusting whom.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Address of a proxy: `http://`, `https://` (HTTP CONNECT), `socks5://` or `socks5h://`
    /// (which looks names up itself), with a name and password where it wants them. `None`: as the
    /// system says (`HTTPS_PROXY` and the like; the settings of macOS and Windows).
    pub proxy: Option<String>,
    /// Hosts that are reached without that proxy, as in `NO_PROXY`: names, domains with all below
    /// them, addresses and networks, parted by commas. `None`: as `NO_PROXY` says. This computer
    /// never needs a proxy.
    pub no_proxy: Option<String>,
    /// Certificates in PEM that are trusted beside the system's.
    pub certificates: Option<Vec<u8>>,
    /// Certificates that the user trusts although nobody vouches for them.
    pub pins: Pins,
}

/// Which versions of HTTP are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// All, as far as there is TLS to agree by.
    All,
    /// Only the one whose connections can become something else.
    One,
}

impl std::fmt::Debug for Network {
    /// Without the proxy's address: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy.is_some())
            .field("no_proxy", &self.no_proxy)
            .field("certificates", &self.certificates.is_some())
            .field("pins", &self.pins)
            .finish()
    }
}

impl Network {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`Error::Request`] for an address that is none of a proxy, or a file without certificates;
    /// [`Error::Proxy`] for an address that is none, or that of a script that chooses proxies.
    pub fn check(&self) -> Result<(), Error> {
        self.apply(reqwest::Client::builder(), Versions::All)
            .map(drop)
    }

    pub(crate) fn apply(
        &self,
        builder: reqwest::ClientBuilder,
        versions: Versions,
    ) -> Result<reqwest::ClientBuilder, Error> {
        let Some(proxy) = &self.proxy else {
            return self.trust(builder, versions);
        };
        if is_script(proxy) {
            let reason = "scripts that choose a proxy (PAC) are not supported; write the address \
                          of the proxy itself";
            return Err(Error::Proxy(reason.to_owned()));
        }
        let bad = || {
            let schemes = SCHEMES.join(", ");
            Error::Proxy(format!("it has to begin with one of {schemes}"))
        };
        if !SCHEMES.iter().any(|scheme| proxy.starts_with(scheme)) {
            return Err(bad());
        }
        let proxy = reqwest::Proxy::all(proxy).map_err(|_| bad())?;
        let spared = match &self.no_proxy {
            Some(hosts) => NoProxy::from_string(hosts),
            None => NoProxy::from_env(),
        };
        self.trust(builder.proxy(proxy.no_proxy(spared)), versions)
    }

    /// Certificates alone: for this computer.
    pub(crate) fn trust(
        &self,
        builder: reqwest::ClientBuilder,
        versions: Versions,
    ) -> Result<reqwest::ClientBuilder, Error> {
        let builder = match versions {
            Versions::All => builder,
            Versions::One => builder.http1_only(),
        };
        let extra = self.extra_roots()?;
        if self.pins.is_empty() {
            let all = extra.iter().map(|one| reqwest::Certificate::from_der(one));
            let all: Result<Vec<_>, _> = all.collect();
            let all = all.map_err(|_| no_certificates())?;
            return Ok(all
                .into_iter()
                .fold(builder, |builder, one| builder.add_root_certificate(one)));
        }
        let config = certificate::config(extra, self.pins.clone(), versions)?;
        Ok(builder.tls_backend_preconfigured(config))
    }

    /// Those of the file.
    pub(crate) fn extra_roots(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let Some(pem) = &self.certificates else {
            return Ok(Vec::new());
        };
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.map_err(|_| no_certificates())?;
        match all.is_empty() {
            true => Err(no_certificates()),
            false => Ok(all),
        }
    }

    /// The proxy that stands between, for connections that carry no requests.
    pub(crate) fn proxy_to(&self, to: &Uri) -> Option<Intercept> {
        let matcher = match &self.proxy {
            None => Matcher::from_system(),
            Some(proxy) => {
                let spared = self.no_proxy.clone();
                let variable = |name: &str| std::env::var(name).ok();
                let spared = spared
                    .or_else(|| variable("NO_PROXY"))
                    .or_else(|| variable("no_proxy"));
                Matcher::builder()
                    .all(proxy.as_str())
                    .no(spared.unwrap_or_default())
                    .build()
            }
        };
        matcher.intercept(to)
    }
}

fn no_certificates() -> Error {
    Error::Request("the file holds no certificates in PEM".to_owned())
}

/// Whether this is the address of a script that a browser would ask for a proxy.
fn is_script(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let path = address.split(['?', '#']).next().unwrap_or_default();
    address.starts_with("pac+") || path.ends_with(".pac") || path.ends_with("/wpad.dat")
}

impl Client {
    /// The same manager, reached another way. For a client that has sent nothing yet.
    #[must_use]
    pub fn through(self, network: Network) -> Self {
        self.with_network(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_proxies_are_taken() {
        let check = |proxy: &str| {
            let proxy = Some(proxy.to_owned());
            Network {
                proxy,
                ..Network::default()
            }
            .check()
        };
        for good in [
            "http://proxy.example:3128",
            "http://me:secret@proxy.example:3128",
            "https://proxy.example",
            "socks5://proxy.example:1080",
            "socks5h://me:secret@proxy.example:1080",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["proxy.example:3128", "ftp://proxy.example", "http://", ""] {
            assert!(matches!(check(bad), Err(Error::Proxy(_))), "{bad}");
        }
        for script in [
            "http://proxy.example/proxy.pac",
            "http://wpad/wpad.dat",
            "pac+http://proxy.example/",
            "https://proxy.example/Corp.PAC?site=1",
        ] {
            let refused = check(script);
            assert!(matches!(refused, Err(Error::Proxy(_))), "{script}");
        }
    }

    #[test]
    fn some_hosts_need_no_proxy() {
        let network = Network {
            proxy: Some("http://proxy.example:3128".to_owned()),
            no_proxy: Some("inside.example, 10.0.0.0/8".to_owned()),
            ..Network::default()
        };
        let between = |to: &str| network.proxy_to(&to.parse().unwrap()).is_some();
        assert!(between("https://manager.example/"));
        for spared in [
            "https://inside.example/",
            "https://lab.inside.example/",
            "https://10.1.2.3/",
        ] {
            assert!(!between(spared), "{spared}");
        }
    }
}
