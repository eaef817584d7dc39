//! What a sandbox is told when it is opened.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::network;
use crate::Overcommit;
use crate::gpu::{self, Gpus};

/// Where the sandbox keeps things, and what it uses.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The engine's data directory; kernels go below it.
    pub data_dir: PathBuf,
    /// Directory for control sockets, for the engine's user alone. Its path must be short: a
    /// socket's path has 108 bytes at most.
    pub run_dir: PathBuf,
    /// The program `gangway-runner`.
    pub runner: PathBuf,
    /// Whether sessions may reach the network at all.
    pub network: bool,
    /// Variables for every session, under those that the session itself asks for: see
    /// [`SandboxConfig::host_environ`].
    pub environ: BTreeMap<String, String>,
    /// The host's `resolv.conf`.
    pub resolv_conf: PathBuf,
    /// Whether sessions may change the files of their images, where this computer can do that.
    pub overlay: bool,
    /// The GPUs that sessions can have.
    pub gpus: Arc<dyn Gpus>,
    /// Where their device nodes are: `/dev`.
    pub devices: PathBuf,
    /// How often cores and memory are given out.
    pub overcommit: Overcommit,
}

impl SandboxConfig {
    /// The usual configuration.
    #[must_use]
    pub fn new(
        data_dir: impl Into<PathBuf>,
        run_dir: impl Into<PathBuf>,
        runner: impl Into<PathBuf>,
    ) -> Self {
        Self {
            data_dir: data_dir.into(),
            run_dir: run_dir.into(),
            runner: runner.into(),
            network: true,
            environ: Self::host_environ(std::env::vars()),
            resolv_conf: PathBuf::from(network::RESOLV_CONF),
            overlay: true,
            gpus: gpu::here(),
            devices: PathBuf::from("/dev"),
            overcommit: Overcommit::default(),
        }
    }

    /// Of the host's variables those that say how to reach the network: proxies that a session can
    /// reach, and certificates that it can see.
    pub fn host_environ(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, String> {
        const PROXIES: &[&str] = &[
            "http_proxy",
            "https_proxy",
            "ftp_proxy",
            "all_proxy",
            "no_proxy",
        ];
        const CERTIFICATES: &[&str] = &[
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "PIP_CERT",
            "GIT_SSL_CAINFO",
            "NODE_EXTRA_CA_CERTS",
            "AWS_CA_BUNDLE",
            "NIX_SSL_CERT_FILE",
        ];
        const VISIBLE: &[&str] = &[
            "/etc/ssl/",
            "/etc/pki/",
            "/etc/ca-certificates/",
            "/usr/",
            "/opt/",
        ];
        variables
            .into_iter()
            .filter(|(name, value)| {
                let proxy = PROXIES.contains(&name.to_ascii_lowercase().as_str());
                let on_loopback = ["127.", "localhost", "[::1]"].iter().any(|host| {
                    value.split("://").last().is_some_and(|rest| {
                        rest.split('@')
                            .next_back()
                            .is_some_and(|rest| rest.starts_with(host))
                    })
                });
                let visible = VISIBLE.iter().any(|place| value.starts_with(place));
                (proxy && (!on_loopback || name.eq_ignore_ascii_case("no_proxy")))
                    || (CERTIFICATES.contains(&name.as_str()) && visible)
            })
            .collect()
    }
}
