//! What requests mean: permission, policy, and every change of the store.

pub(crate) mod admin;
pub(crate) mod bootstrap;
pub(crate) mod dotfile;
pub(crate) mod execute;
pub(crate) mod fair_share;
pub(crate) mod folder;
pub(crate) mod image;
pub(crate) mod image_container;
pub(crate) mod notice;
pub(crate) mod password;
pub(crate) mod resource;
pub(crate) mod resource_group;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod session_batch;
pub(crate) mod session_check;
pub(crate) mod session_create;
pub(crate) mod session_environment;
pub(crate) mod session_mount;
pub(crate) mod session_save;
pub(crate) mod transition;
pub(crate) mod user;
