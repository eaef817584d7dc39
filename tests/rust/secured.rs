//! TLS before a manager that has none.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::process::run;

/// Makes a certificate for `name` (`DNS:host`, `IP:address`) for which nobody vouches, and its key:
/// `cert.pem` and `key.pem` in `folder`.
///
/// # Errors
/// When OpenSSL is missing or can't write there.
pub fn certificate(folder: &Path, name: &str) -> Result<()> {
    let mut make = Command::new("openssl");
    make.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split(' '))
        .args("-nodes -days 2 -subj /CN=manager".split(' '))
        .args(["-addext", &format!("subjectAltName={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder);
    run(make.stderr(Stdio::null())).map(drop)
}

/// Ends TLS before a manager, with a [`certificate`] for `name` in `folder`. Where it listens.
///
/// # Errors
/// When the certificate can't be made, or nothing can be listened on.
pub fn secured(manager: SocketAddr, folder: &Path, name: &str) -> Result<SocketAddr> {
    certificate(folder, name)?;
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    // By name: with two of them in one build, rustls does not choose.
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Runtime::new()?;
    thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (near, _) = listener.accept().await?;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut near = acceptor.accept(near).await?;
                    let mut far = tokio::net::TcpStream::connect(manager).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
            #[expect(unreachable_code, reason = "it tells the type of the error")]
            std::io::Result::Ok(())
        })
    });
    Ok(address)
}
