//! What lies between: TLS with certificates of one's own, HTTP/2, IPv6, compressed answers.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::Version;
use axum::response::IntoResponse;
use client::protocol::signing::{self, Credential};
use client::{Client, Error, Network, discover};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::address::{SECRET_KEY, all_of, keypair, near, play};

const ANNOUNCEMENT: &str = r#"{"version":"v9.20250722","manager":"26.8.0"}"#;
const SLOTS: &str = r#"{"cpu":"count"}"#;

type Seen = Arc<Mutex<Vec<Version>>>;

/// A manager that believes who signs for the authority that was asked, in either HTTP.
fn manager(seen: &Seen) -> Router {
    let seen = seen.clone();
    Router::new().fallback(move |request: Request| {
        seen.lock().unwrap().push(request.version());
        std::future::ready(answer(&request))
    })
}

fn answer(request: &Request) -> axum::response::Response {
    let target = request.uri().path_and_query().unwrap().as_str();
    if target == "/" {
        return ANNOUNCEMENT.into_response();
    }
    let text = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap())
    };
    let authority = request.uri().authority().map(ToString::to_string);
    let signed = signing::Request {
        method: request.method().as_str(),
        target,
        authority: text("host").or(authority.as_deref()).unwrap(),
        date: text("date").unwrap(),
        content_type: signing::DEFAULT_CONTENT_TYPE,
        version: text("x-backendai-version").unwrap(),
    };
    let given = Credential::parse(text("authorization").unwrap()).unwrap();
    match signing::verify(&signed, SECRET_KEY, given.signature) {
        Ok(()) => SLOTS.into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// Makes a key and a certificate that nobody has signed, for this computer's own addresses.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args(["-subj", "/CN=manager of a test"])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Serves by TLS, and HTTP/2 to whoever can.
async fn secured(folder: &Path, router: Router) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate hangs up.
                let Ok(near) = acceptor.accept(near).await else {
                    return;
                };
                let service = TowerToHyperService::new(router);
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(near), service)
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_given_and_never_else() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let seen = Seen::default();
    let address = secured(folder.path(), manager(&seen)).await;
    let endpoint = format!("https://{address}");

    let error = discover(&endpoint, &Network::default()).await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("not trusted"), "{error}");
    assert!(seen.lock().unwrap().is_empty(), "something was sent");
    // The scheme that was left out is https.
    let error = discover(&address.to_string(), &Network::default()).await;
    assert!(matches!(error.unwrap_err(), Error::Certificate { .. }));

    let trusting = Network {
        certificates: Some(std::fs::read(folder.path().join("cert.pem")).unwrap()),
        ..Network::default()
    };
    let found = discover(&endpoint, &trusting).await.unwrap();
    assert_eq!(found.announcement.manager, "26.8.0");
    let client = Client::new(&endpoint, Some(keypair())).unwrap();
    let client = client.through(trusting);
    assert_eq!(client.slot_types().await.unwrap()["cpu"], "count");
    // Both can HTTP/2, so it is what they speak.
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|it| *it == Version::HTTP_2), "{seen:?}");
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let address = secured(folder.path(), manager(&Seen::default())).await;
    let endpoint = format!("http://{address}");
    let error = discover(&endpoint, &Network::default()).await.unwrap_err();
    let told = matches!(
        error,
        Error::WrongScheme {
            speaks: "https",
            ..
        }
    );
    assert!(told, "{error:?} {}", all_of(&error));
}

#[tokio::test]
async fn a_manager_at_an_ipv6_address_is_signed_for() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = manager(&Seen::default());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let found = discover(&format!("http://{address}"), &Network::default()).await;
    let found = found.unwrap();
    assert_eq!(found.endpoint, format!("http://{address}"));
    let client = near(address);
    assert_eq!(client.slot_types().await.unwrap()["cpu"], "count");
}

/// One brotli stream that holds `text` as it is (RFC 7932 §9.2: a block without compression, an
/// empty last one).
fn brotli(text: &str) -> Vec<u8> {
    let head = ((text.len() as u32 - 1) << 4) | (1 << 20);
    let mut all = head.to_le_bytes()[..3].to_vec();
    all.extend_from_slice(text.as_bytes());
    all.push(3);
    all
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let (address, _) = play(|exchange| {
        async move {
            let asked = exchange.header("accept-encoding").unwrap_or_default();
            assert!(asked.contains("gzip") && asked.contains("br"), "{asked}");
            let (encoding, body) = match exchange.number {
                0 => ("gzip", gzip(SLOTS)),
                1 => ("br", brotli(SLOTS)),
                // Cut in the middle: that is no answer.
                _ => ("gzip", gzip(SLOTS)[..20].to_vec()),
            };
            let headers = format!("content-encoding: {encoding}\r\n");
            exchange.answer("200 OK", &headers, body).await;
        }
        .boxed()
    })
    .await;
    for encoding in ["gzip", "br"] {
        let types = near(address).slot_types().await.expect(encoding);
        assert_eq!(types["cpu"], "count", "{encoding}");
    }
    near(address).slot_types().await.unwrap_err();
}
