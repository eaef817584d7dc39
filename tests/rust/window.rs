//! The real app in a real window, driven through WebKit's own driver.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::home::Home;
use crate::process::{Running, program};

/// How long anything may take to show up; generous, since a build machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the first element that a selector matches stays where it is over two frames and is what
/// a click at its middle would meet. A page that still moves takes a click somewhere else.
const AT_REST: &str = "const [selector, done] = arguments;
    const element = document.querySelector(selector);
    if (element === null) { done(false); return; }
    element.scrollIntoView({block: 'nearest', inline: 'nearest'});
    const where = () => JSON.stringify(element.getBoundingClientRect());
    const before = where();
    setTimeout(() => requestAnimationFrame(() => {
        const box = element.getBoundingClientRect();
        const met = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        done(element.isConnected && where() === before && met !== null
            && (element.contains(met) || met.contains(element)));
    }), 40);";

/// A web view under control: the app's, or a plain browser window of the same engine.
#[derive(Debug)]
pub struct Window {
    client: Client,
    _driver: Running,
}

impl Window {
    /// Opens the desktop app.
    ///
    /// # Errors
    /// When the driver or the app does not start.
    pub async fn app(home: &Home) -> Result<Self> {
        Self::app_at(home, &program("gangway-desktop")).await
    }

    /// Opens the desktop app as the desktop does for a link that was clicked.
    ///
    /// # Errors
    /// When the driver or the app does not start.
    pub async fn app_for(home: &Home, link: &str) -> Result<Self> {
        let program = program("gangway-desktop");
        Self::open(home, json!({"binary": program, "args": [link]})).await
    }

    /// Opens a desktop app that is installed somewhere else.
    ///
    /// # Errors
    /// When the driver or the app does not start.
    pub async fn app_at(home: &Home, program: &Path) -> Result<Self> {
        Self::open(home, json!({"binary": program, "args": []})).await
    }

    /// Opens a browser window of the same engine, as the user's own browser would be.
    ///
    /// # Errors
    /// When the driver or the browser does not start.
    pub async fn browser(home: &Home) -> Result<Self> {
        let browser = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
        Self::open(home, json!({"binary": browser, "args": ["--automation"]})).await
    }

    async fn open(home: &Home, options: Value) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = home.command("WebKitWebDriver");
        command
            .arg(format!("--port={port}"))
            // Without it the app opens, the driver waits for ever.
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .stdin(Stdio::null());
        let driver = Running::start(&mut command)?;
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("webkitgtk:browserOptions".into(), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{port}");
        let connect = async {
            loop {
                // The driver needs a moment before it listens.
                match builder.connect(&address).await {
                    Ok(client) => return Ok(client),
                    Err(error) if format!("{error:?}").contains("ConnectionRefused") => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => return Err(error).context("the window did not open"),
                }
            }
        };
        let client = tokio::time::timeout(PATIENCE, connect)
            .await
            .context("the window did not open in time")??;
        Ok(Self {
            client,
            _driver: driver,
        })
    }

    /// The client, for what has no method here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for the element with this test id to be there.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn find(&self, id: &str) -> Result<Element> {
        self.css(&format!("[data-testid=\"{id}\"]")).await
    }

    /// Waits for the first element that a CSS selector matches.
    ///
    /// # Errors
    /// When it does not come; the message says what the page shows instead.
    pub async fn css(&self, selector: &str) -> Result<Element> {
        let found = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(selector))
            .await;
        match found {
            Ok(element) => Ok(element),
            Err(error) => Err(anyhow::Error::new(error).context(format!(
                "{selector} did not show up; the page shows {:?}",
                self.page_text().await
            ))),
        }
    }

    /// What a person can read on the page now, for messages.
    async fn page_text(&self) -> String {
        let script = "return document.body.innerText.slice(0, 2000)";
        match self.client.execute(script, Vec::new()).await {
            Ok(text) => text.as_str().unwrap_or_default().to_owned(),
            Err(error) => format!("nothing: {error}"),
        }
    }

    /// Waits for an element and clicks it, as soon as it is shown, enabled, at rest and not covered.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn click(&self, id: &str) -> Result<()> {
        self.click_css(&format!("[data-testid=\"{id}\"]")).await
    }

    /// The same by CSS selector.
    ///
    /// # Errors
    /// When the element does not become clickable.
    pub async fn click_css(&self, selector: &str) -> Result<()> {
        self.eventually(&format!("{selector} to be clickable"), async || {
            let at_rest = self
                .client
                .execute_async(AT_REST, vec![selector.into()])
                .await?;
            if at_rest != Value::Bool(true) {
                return Ok(None);
            }
            let element = self.client.find(Locator::Css(selector)).await?;
            if !element.is_displayed().await? || !element.is_enabled().await? {
                return Ok(None);
            }
            element.click().await?;
            Ok(Some(()))
        })
        .await
    }

    /// Replaces what is in a text field.
    ///
    /// # Errors
    /// When the field does not show up.
    pub async fn fill(&self, id: &str, text: &str) -> Result<()> {
        self.click(id).await?;
        let field = self.find(id).await?;
        // Control-A, then type over it: `clear` does not tell React.
        field.send_keys("\u{e009}a\u{e000}").await?;
        field.send_keys(text).await?;
        Ok(())
    }

    /// Goes to one of the page's own places, such as `/sessions`.
    ///
    /// # Errors
    /// When the window does not answer.
    pub async fn go(&self, place: &str) -> Result<()> {
        let script = "window.location.hash = arguments[0];";
        self.client.execute(script, vec![place.into()]).await?;
        Ok(())
    }

    /// Types into whatever has the focus.
    ///
    /// # Errors
    /// When nothing has it.
    pub async fn keys(&self, text: &str) -> Result<()> {
        self.client.active_element().await?.send_keys(text).await?;
        Ok(())
    }

    /// Waits until a script's answer is true.
    ///
    /// # Errors
    /// When it never is, or the script fails.
    pub async fn until(&self, what: &str, script: &str) -> Result<()> {
        self.eventually(what, async || {
            let answer = self.client.execute(script, Vec::new()).await?;
            Ok((answer == Value::Bool(true)).then_some(()))
        })
        .await
    }

    /// Waits until an element's text holds `part`, and returns the whole text.
    ///
    /// # Errors
    /// When that does not happen; the message shows the text that was there last.
    pub async fn text_with(&self, id: &str, part: &str) -> Result<String> {
        let selector = format!("[data-testid=\"{id}\"]");
        let mut last = String::new();
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            if let Ok(element) = self.client.find(Locator::Css(&selector)).await
                // What is in the page, and not what the driver makes of it: the text of a flex
                // item that a neighbour squeezes is empty to the driver.
                && let Ok(Some(text)) = element.prop("textContent").await
            {
                if text.contains(part) {
                    return Ok(text);
                }
                last = text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{id} never showed {part:?}; at last it showed {last:?}")
    }

    /// Whether an element is there now.
    ///
    /// # Errors
    /// When the window does not answer.
    pub async fn there(&self, id: &str) -> Result<bool> {
        let selector = format!("[data-testid=\"{id}\"]");
        Ok(!self
            .client
            .find_all(Locator::Css(&selector))
            .await?
            .is_empty())
    }

    /// Waits until nothing on the page has this test id.
    ///
    /// # Errors
    /// When it stays.
    pub async fn gone(&self, id: &str) -> Result<()> {
        let selector = format!("[data-testid=\"{id}\"]");
        self.eventually(&format!("{id} to go"), async || {
            let left = self.client.find_all(Locator::Css(&selector)).await?;
            for element in left {
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// Asks the page again and again until there is an answer. A failed question is asked again:
    /// the page may draw an element anew between two looks at it.
    ///
    /// # Errors
    /// When there is none in time; the message says what was waited for, and what the page shows.
    pub async fn eventually<T>(
        &self,
        what: &str,
        ask: impl AsyncFn() -> Result<Option<T>>,
    ) -> Result<T> {
        let started = std::time::Instant::now();
        let mut last = None;
        while started.elapsed() < PATIENCE {
            match ask().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => last = None,
                Err(error) => last = Some(format!("{error:#}")),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!(
            "waited {PATIENCE:?} for {what} (last error: {last:?}); the page shows {:?}",
            self.page_text().await
        )
    }

    /// Writes what the page looks like as a PNG.
    ///
    /// # Errors
    /// When the driver can't take it, or the file can't be written.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, self.client.screenshot().await?)?;
        Ok(())
    }

    /// The same once what is on its way is there (skeletons, texts of the manager).
    ///
    /// # Errors
    /// Those of [`Self::screenshot`]; when the page sticks out of the window.
    pub async fn whole_page(&self, file: &Path) -> Result<()> {
        // It has come after two answers.
        tokio::time::sleep(Duration::from_millis(900)).await;
        self.screenshot(file).await?;
        let out = "const wide = document.documentElement;
            return [wide.scrollWidth - wide.clientWidth, wide.scrollHeight - wide.clientHeight];";
        let out = self.client.execute(out, Vec::new()).await?;
        ensure!(
            out == json!([0, 0]),
            "{} sticks out of the window: {out}",
            file.display()
        );
        Ok(())
    }

    /// Closes the window and waits for the program to end.
    ///
    /// # Errors
    /// When the driver is gone already.
    pub async fn close(self) -> Result<()> {
        self.client
            .close()
            .await
            .context("the window can't be closed")
    }
}
