//! The login page where the system's keychain is shut, or where there is none: it says so, and
//! offers the ways that are left.

use anyhow::{Result, ensure};
use tests::home::{Home, Keyring};
use tests::repository;
use tests::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn with_a_locked_keychain_the_user_chooses() -> Result<()> {
    let home = Home::desktop_with(Keyring::Locked)?;
    let window = Window::app(&home).await?;
    window.text_with("login.keychain-state", "locked").await?;
    state(&window, "locked").await?;
    photograph(&window, "locked").await?;
    nothing_is_chosen(&window).await?;
    // Its own way stays open: the user may unlock it meanwhile.
    for store in ["system", "file", "memory"] {
        ensure!(usable(&window, store).await?, "{store} can't be chosen");
    }
    // Asking each time: nothing is written.
    choose(&window, "memory").await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    ensure!(
        home.gangway(&["whoami"])?["keychain"] == "memory",
        "kept elsewhere"
    );
    ensure!(!secrets(&home).exists(), "something was written");
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keychain_the_encrypted_file_is_offered() -> Result<()> {
    let home = Home::desktop_with(Keyring::Absent)?;
    let window = Window::app(&home).await?;
    window
        .text_with("login.keychain-state", "no keychain")
        .await?;
    state(&window, "absent").await?;
    photograph(&window, "absent").await?;
    nothing_is_chosen(&window).await?;
    ensure!(
        !usable(&window, "system").await?,
        "a keychain that is not there can be chosen"
    );
    choose(&window, "file").await?;
    window.fill("login.passphrase", "short").await?;
    ensure!(!may_log_in(&window).await?, "a short passphrase is taken");
    window
        .fill("login.passphrase", "long enough for a test")
        .await?;
    photograph(&window, "file").await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    let file = secrets(&home);
    let bytes = std::fs::read(&file)?;
    ensure!(
        home.gangway(&["whoami"])?["keychain"] == "file" && !bytes.is_empty(),
        "not in the file"
    );
    ensure!(
        !String::from_utf8_lossy(&bytes).contains("secret_key"),
        "the file is not encrypted"
    );
    window.close().await
}

async fn state(window: &Window, wanted: &str) -> Result<()> {
    let shown = window.find("login.keychain-state").await?;
    let state = shown.attr("data-state").await?;
    ensure!(state.as_deref() == Some(wanted), "{state:?}");
    Ok(())
}

/// Each way that is left has a price, so the user has to say which.
async fn nothing_is_chosen(window: &Window) -> Result<()> {
    window.find("login.store.file").await?;
    ensure!(
        !may_log_in(window).await?,
        "logging in would keep the secret somewhere by itself"
    );
    Ok(())
}

async fn may_log_in(window: &Window) -> Result<bool> {
    Ok(window
        .find("login.this-computer")
        .await?
        .is_enabled()
        .await?)
}

/// The button itself is drawn by its label.
async fn choose(window: &Window, store: &str) -> Result<()> {
    window
        .click_css(&format!("label:has([data-testid='login.store.{store}'])"))
        .await
}

async fn usable(window: &Window, store: &str) -> Result<bool> {
    let button = window
        .css(&format!(
            "input[data-testid='login.store.{store}'], [data-testid='login.store.{store}'] input"
        ))
        .await?;
    Ok(button.is_enabled().await?)
}

fn secrets(home: &Home) -> std::path::PathBuf {
    home.path("gangway/config/secrets.age")
}

async fn photograph(window: &Window, name: &str) -> Result<()> {
    let file = format!("target/screenshots/keychain/{name}.png");
    window.screenshot(&repository::root().join(file)).await
}
