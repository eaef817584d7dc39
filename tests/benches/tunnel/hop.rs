//! What stands between two ends: nothing but a copy, a long line, or an end of TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const BLOCK: usize = 128 * 1024;

/// Passes connections on for ever, each byte after `delay`.
pub(crate) fn relay(address: &str, to: &str, delay: Duration) -> io::Result<()> {
    for near in TcpListener::bind(address)?.incoming() {
        let (near, to) = (near?, to.to_owned());
        thread::spawn(move || -> io::Result<()> {
            let far = TcpStream::connect(to)?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let (back, forth) = (far.try_clone()?, near.try_clone()?);
            let copy = if delay.is_zero() { plain } else { late };
            thread::spawn(move || copy(back, forth, delay));
            copy(near, far, delay);
            Ok(())
        });
    }
    Ok(())
}

fn plain(mut from: TcpStream, mut to: TcpStream, _: Duration) {
    let mut buffer = vec![0; BLOCK];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn late(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    // As much as fits on a line: 64 KiB pieces for a second of a gigabit.
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(16_384);
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if sender
            .send((Instant::now() + delay, buffer[..read].to_vec()))
            .is_err()
        {
            break;
        }
    }
}

/// Ends TLS for ever, with the certificate and key in `folder`.
pub(crate) fn tls(address: &str, to: &str, folder: &Path) -> Result<()> {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    // By name: with two of them in one build, rustls does not choose.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .context("listen")?;
        loop {
            let (near, _) = listener.accept().await?;
            near.set_nodelay(true)?;
            let (acceptor, to) = (acceptor.clone(), to.to_owned());
            tokio::spawn(async move {
                let mut near = acceptor.accept(near).await?;
                let mut far = tokio::net::TcpStream::connect(to).await?;
                far.set_nodelay(true)?;
                tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, BLOCK, BLOCK).await
            });
        }
    })
}
