//! Links that lead into the app's window, as a browser or a chat hands them to the desktop.

use anyhow::{Context, Result, ensure};
use tests::home::Home;
use tests::process::{program, run};
use tests::window::Window;

/// While the app runs, and as its first start; what can't be understood changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_its_session() -> Result<()> {
    let mut home = Home::desktop()?;
    home.single_instance();
    let window = Window::app(&home).await?;
    window.click("login.this-computer").await?;
    window.find("start.page").await?;
    let launched = home.gangway(&["session", "launch", "linked"])?;
    let id = launched["id"].as_str().context("id")?;

    // The link that the session's page offers is the one that leads back to it.
    window.go(&format!("#/sessions?open={id}")).await?;
    // Read where it is: it may be further down than the window shows.
    let link = window
        .find("drawer.link")
        .await?
        .prop("textContent")
        .await?;
    let link = link.context("the page shows no link")?;
    ensure!(link == format!("gangway://session/{id}"), "{link}");
    window.go("#/").await?;
    window.find("start.page").await?;

    follow(&home, &format!("{link}?tab=log"))?;
    window.text_with("drawer.name", "linked").await?;
    window.find("drawer.log-follow").await?;
    follow(&home, "gangway://settings")?;
    window.find("settings.theme").await?;

    follow(&home, "gangway://terminate/linked")?;
    window.find("settings.theme").await?;
    let status = home.gangway(&["session", "show", "linked"])?;
    ensure!(status["status"] == "RUNNING", "{status}");
    ensure!(home.processes("gangway-desktop").len() == 1);
    window.close().await?;

    let window = Window::app_for(&home, &link).await?;
    window.text_with("drawer.name", "linked").await?;
    window.close().await
}

/// The desktop starts the program with the link; the copy that runs already takes it over.
fn follow(home: &Home, link: &str) -> Result<()> {
    run(home.command(program("gangway-desktop")).arg(link)).map(drop)
}
