//! The real Secret Service (GNOME Keyring on a D-Bus session of its own): open, locked, absent.
//!
//! Each case starts this test program again inside the surroundings that it is about, because
//! D-Bus and the keyring are found through the environment of a process.
#![allow(clippy::expect_used, reason = "a test says what went wrong by ending")]
#![cfg(target_os = "linux")]

use std::process::Command;

use keychain::{Error, Keychain, State, Store};
use secrecy::ExposeSecret;

/// Runs the test called `inside` of this program below `wrapper`, a shell line in which `$@`
/// stands for the program.
fn run(wrapper: &str, inside: &str, session: bool) {
    let home = tempfile::tempdir().expect("a home");
    let own = std::env::current_exe().expect("this program");
    let mut command = if session {
        let mut command = Command::new("dbus-run-session");
        command.args(["--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let output = command
        .args(["-c", wrapper, "sh"])
        .arg(own)
        .args(["--exact", inside, "--ignored", "--nocapture"])
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env_remove("XDG_DATA_HOME")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .output()
        .expect("dbus-run-session is installed (package dbus)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_open_keyring_keeps_secrets() {
    let open = "printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null; \
                \"$@\"";
    run(open, "inside_open", true);
}

#[test]
fn a_locked_keyring_says_so() {
    // The bus starts the daemon by itself; nobody unlocks it and there is no display to ask on.
    run("\"$@\"", "inside_locked", true);
}

#[test]
fn without_a_bus_there_is_no_keychain() {
    run("\"$@\"", "inside_absent", false);
}

fn keychain() -> Keychain {
    let home = std::env::var_os("HOME").expect("set by the test");
    Keychain::new(std::path::Path::new(&home).join("secrets"))
}

#[tokio::test]
#[ignore = "needs surroundings: an_open_keyring_keeps_secrets"]
async fn inside_open() {
    let first = keychain();
    assert_eq!(first.status(Store::System).await.state, State::Ready);
    assert!(
        first
            .get(Store::System, "local")
            .await
            .expect("open")
            .is_none()
    );
    first
        .set(Store::System, "local", "s3cret".into())
        .await
        .expect("kept");
    // Another process sees it: nothing of it is in this one's memory.
    let second = keychain();
    let found = second
        .get(Store::System, "local")
        .await
        .expect("open")
        .expect("there");
    assert_eq!(found.expose_secret(), "s3cret");
    second
        .remove(Store::System, "local")
        .await
        .expect("removed");
    assert!(
        keychain()
            .get(Store::System, "local")
            .await
            .expect("open")
            .is_none()
    );
}

#[tokio::test]
#[ignore = "needs surroundings: a_locked_keyring_says_so"]
async fn inside_locked() {
    let keychain = keychain();
    assert_eq!(keychain.status(Store::System).await.state, State::Locked);
    let error = keychain
        .set(Store::System, "local", "s3cret".into())
        .await
        .expect_err("locked");
    assert!(matches!(error, Error::Locked), "{error:?}");
}

#[tokio::test]
#[ignore = "needs surroundings: without_a_bus_there_is_no_keychain"]
async fn inside_absent() {
    let keychain = keychain();
    assert_eq!(keychain.status(Store::System).await.state, State::Absent);
    let error = keychain
        .get(Store::System, "local")
        .await
        .expect_err("absent");
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    // What is left then.
    keychain
        .set(Store::Memory, "local", "s3cret".into())
        .await
        .expect("kept");
    assert!(
        keychain
            .get(Store::Memory, "local")
            .await
            .expect("open")
            .is_some()
    );
}
