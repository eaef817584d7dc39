//! Container images without a container engine: they come from a registry, an archive or a folder,
//! are checked against their digests and unpacked into directories, one for each layer, which all
//! images that have it share. The sandbox puts a session's root together from them.
//!
//! It hides how registries are spoken to, the formats of images, how half of one is gone on with,
//! and how a hostile one is kept from leaving its directory.

mod budget;
mod commit;
mod digest;
mod error;
mod import;
mod manifest;
mod metered;
mod place;
mod pull;
mod registry;
mod store;
mod unpack;

pub use budget::ImageLimits;
pub use digest::Digest;
pub use error::ImageError;
pub use import::Imported;
pub use pull::{Came, Progress};
pub use registry::{Described, Registry, RegistryAccess};
pub use store::{Content, ImageStore};
pub use unpack::Dropped;

pub(crate) use place::OPAQUE;
