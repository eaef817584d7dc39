//! Certificates that the system does not trust and the user does: one for each host, known by its
//! fingerprint. Any other certificate of that host is refused as before.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::connect::connect;
use crate::network::Versions;
use crate::{Client, Error, Network};

/// SHA-256 of a certificate as it is sent, written as browsers and OpenSSL write it: `AB:CD:…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// Takes it with and without colons and `SHA256:` before it, in either case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Request(format!("\"{text}\" is no SHA-256 of a certificate"));
        let text = text.trim();
        let rest = text.strip_prefix("SHA256:").unwrap_or(text);
        let digits: Vec<u8> = rest.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        let (pairs, odd) = digits.as_chunks::<2>();
        if pairs.len() != bytes.len() || !odd.is_empty() {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// Hosts as they stand in addresses, and the certificate that each may show.
pub type Pins = BTreeMap<String, Fingerprint>;

/// A certificate that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Name or address of the host.
    pub host: String,
    /// Which certificate it is.
    pub fingerprint: Fingerprint,
    /// Why it is not trusted; `None` when it is.
    pub problem: Option<String>,
}

/// TLS that trusts the system's certificates, `extra` ones, and `pins`.
pub(crate) fn config(
    extra: Vec<CertificateDer<'static>>,
    pins: Pins,
    versions: Versions,
) -> Result<ClientConfig, Error> {
    let mut config = with(usual(extra)?, Rule::Pins(pins))?;
    config.alpn_protocols = match versions {
        Versions::One => vec![b"http/1.1".to_vec()],
        Versions::All => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn with(usual: Verifier, rule: Rule) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = builder.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(Checked { usual, rule }));
    Ok(builder.with_no_client_auth())
}

fn usual(extra: Vec<CertificateDer<'static>>) -> Result<Verifier, Error> {
    Verifier::new_with_extra_roots(extra, provider()).map_err(tls)
}

/// The program's choice; the one that requests use anyway where it has made none.
fn provider() -> Arc<CryptoProvider> {
    let chosen = CryptoProvider::get_default().cloned();
    chosen.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

fn tls(error: impl fmt::Display) -> Error {
    Error::Request(format!("TLS can't be set up: {error}"))
}

/// A certificate that was shown, and what is wrong with it.
type Seen = Arc<Mutex<Option<(Fingerprint, Option<String>)>>>;

/// The usual check, and what is made of its verdict.
#[derive(Debug)]
struct Checked {
    usual: Verifier,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// The one certificate that was chosen for a host passes as well.
    Pins(Pins),
    /// Nobody passes: nothing is ever sent to who showed it.
    Look(Seen),
}

impl ServerCertVerifier for Checked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let shown = Fingerprint::of(end_entity);
        match &self.rule {
            Rule::Pins(pins) => match verdict {
                Err(_) if pins.get(server_name.to_str().as_ref()) == Some(&shown) => {
                    Ok(ServerCertVerified::assertion())
                }
                verdict => verdict,
            },
            Rule::Look(seen) => {
                let problem = verdict.err().map(|error| error.to_string());
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((shown, problem));
                Err(rustls::Error::General("only looked at".to_owned()))
            }
        }
    }

    // That the host has the certificate's key is proven for a chosen one as for any other.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Looks at the certificate of the host behind an address, by way of `network`, without sending it
/// anything.
///
/// # Errors
/// [`Error::Address`] for what is no address by `https://`, [`Error::Unreachable`] when nobody
/// there speaks TLS.
pub async fn certificate(address: &str, network: &Network) -> Result<Shown, Error> {
    let bad = || Error::Address {
        address: address.to_owned(),
    };
    let url = Url::parse(address.trim()).map_err(|_| bad())?;
    let (Some(host), "https") = (url.host_str(), url.scheme()) else {
        return Err(bad());
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
    let client = Client::new(address.trim(), None)?;
    let seen = Seen::default();
    let look = with(
        usual(network.extra_roots()?)?,
        Rule::Look(Arc::clone(&seen)),
    )?;
    let connector = TlsConnector::from(Arc::new(look));
    let stream = connect(network, &host, url.port_or_known_default().unwrap_or(443)).await;
    let stream = stream.map_err(|error| client.unreachable(error))?;
    let ended = connector.connect(name, stream).await.err();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (seen, ended) {
        (Some((fingerprint, problem)), _) => Ok(Shown {
            host,
            fingerprint,
            problem,
        }),
        (None, Some(error)) => Err(client.unreachable(error)),
        (None, None) => Err(client.unreachable("no certificate was shown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_written_anywhere() {
        let written = Fingerprint([0xa5; 32]).to_string();
        assert!(written.starts_with("A5:A5:"));
        let plain = written.replace(':', "");
        for text in [
            written.clone(),
            format!("SHA256:{written}"),
            plain.to_lowercase(),
            format!(" {plain}\n"),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), written);
        }
        for bad in [
            "",
            "A5",
            &plain[1..],
            &format!("{plain}00"),
            &"zz".repeat(32),
            &"ä".repeat(32),
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
