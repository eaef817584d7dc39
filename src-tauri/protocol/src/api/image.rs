//! Images and the labels that say what is in them (protocol page "Image labels").

/// The label of the service ports, see [`crate::service_port::parse_label`].
pub const LABEL_SERVICE_PORTS: &str = "ai.backend.service-ports";
/// The label of what an image is for: `COMPUTE`, `INFERENCE`, `SYSTEM`.
pub const LABEL_ROLE: &str = "ai.backend.role";
/// Variables that are set to the number of cores.
pub const LABEL_CORECOUNT: &str = "ai.backend.envs.corecount";
/// The image that is this computer itself, offered by the bundled engine.
pub const HOST_IMAGE: &str = "local/host:latest";
/// Label of an image that a container engine of this computer has: `container`.
pub const LABEL_RUNTIME: &str = "ai.gangway.runtime";
