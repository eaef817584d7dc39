//! How the client takes a manager that is old, rude, slow or gone: what no real engine can be
//! made to show. Each test plays the manager on a loopback port.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod address;
mod app_proxy;
mod discover;
mod errors;
mod events;
mod network;
mod proxies;
mod real;
mod retry;
mod secrets;
mod service;
mod signing;
mod silence;
mod storage;
mod version;
mod web_app;
