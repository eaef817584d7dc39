//! The network of a session of several kernels.

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkingConfig,
};

use super::{Containers, api::failed};
use crate::{KernelSpec, RuntimeError, cluster::Subnet};

/// Networks that are tried before giving up: another program may hold one that has no route yet.
const TRIES: usize = 20;

/// Where a kernel is in the network of its session.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) network: String,
    pub(super) subnet: Subnet,
}

impl Place {
    /// Name of the network of a session.
    pub(super) fn name(spec: &KernelSpec) -> String {
        format!("gangway-{}", spec.session_id)
    }

    /// For the container.
    pub(super) fn endpoint(&self, spec: &KernelSpec, rank: u32) -> NetworkingConfig {
        let settings = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(self.subnet.address(rank).to_string()),
                ..EndpointIpamConfig::default()
            }),
            aliases: Some(vec![spec.hostname.clone()]),
            ..EndpointSettings::default()
        };
        NetworkingConfig {
            endpoints_config: Some([(self.network.clone(), settings)].into()),
        }
    }
}

/// Makes the network for the main kernel; finds it for the others.
pub(super) async fn place(
    containers: &Containers,
    spec: &KernelSpec,
) -> Result<Option<Place>, RuntimeError> {
    let Some(cluster) = &spec.cluster else {
        return Ok(None);
    };
    cluster.check()?;
    let network = Place::name(spec);
    if cluster.rank > 0 {
        let main = containers.dir(cluster.main).read();
        let subnet = main.and_then(|record| record.subnet);
        let subnet = subnet.ok_or(RuntimeError::Gone(cluster.main))?;
        return Ok(Some(Place { network, subnet }));
    }
    let docker = containers.api.connect().await?.docker;
    let mut refused = None;
    let start = spec.session_id.as_bytes()[15];
    for subnet in Subnet::free(start).take(TRIES) {
        let request = NetworkCreateRequest {
            name: network.clone(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet.text()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            labels: Some(containers.api.labels(spec.kernel_id, spec.session_id)),
            ..NetworkCreateRequest::default()
        };
        match docker.create_network(request).await {
            Ok(_) => return Ok(Some(Place { network, subnet })),
            Err(error) => refused = Some(error),
        }
    }
    Err(match refused {
        Some(error) => failed("make the network of the session")(error),
        None => RuntimeError::Start {
            reason: "this computer has routes into all networks that a cluster could use"
                .to_owned(),
        },
    })
}
