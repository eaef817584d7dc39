//! The browser that most people have, driven through its own driver.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::home::Home;
use crate::process::Running;

/// How long a page may take to show something.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A browser window without a screen.
#[derive(Debug)]
pub struct Chromium {
    client: Client,
    port: u16,
    _driver: Running,
}

impl Chromium {
    /// Starts the driver and the browser, with a profile in `home`.
    ///
    /// # Errors
    /// When one of them is not installed or does not start.
    pub async fn open(home: &Home) -> Result<Self> {
        let mut command = home.command("chromedriver");
        command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut driver = Running::start(&mut command)?;
        let stdout = driver.child().stdout.take().context("stdout")?;
        let mut port = None;
        let mut lines = BufReader::new(stdout).lines();
        for line in &mut lines {
            let line = line?;
            if let Some(rest) = line.strip_prefix("ChromeDriver was started successfully on port ")
            {
                port = rest.trim_end_matches('.').parse::<u16>().ok();
                break;
            }
        }
        // A driver whose output nobody reads blocks when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let port = port.context("chromedriver did not say its port")?;
        let mut capabilities = serde_json::Map::new();
        capabilities.insert(
            "goog:chromeOptions".into(),
            json!({
                "binary": "/usr/bin/chromium",
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--no-first-run", "--no-proxy-server",
                    // What an attacker's name server would say.
                    "--host-resolver-rules=MAP rebound.example 127.0.0.1", "--window-size=1280,800",
                    format!("--user-data-dir={}", home.path("chromium").display()),
                ],
            }),
        );
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = builder
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("chromium did not start")?;
        Ok(Self {
            client,
            port,
            _driver: driver,
        })
    }

    /// The client, for what has no method here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for the first element that a selector matches.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn css(&self, selector: &str) -> Result<Element> {
        self.client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(selector))
            .await
            .with_context(|| format!("{selector} did not show up"))
    }

    /// The value of a script; a promise is waited for.
    ///
    /// # Errors
    /// When the script throws, or the promise is rejected.
    pub async fn script(&self, body: &str, arguments: Vec<Value>) -> Result<Value> {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1];
             const given = Array.from(arguments).slice(0, -1);
             (async (given) => {{ {body} }})(given).then(
                 (value) => done({{value: value === undefined ? null : value}}),
                 (error) => done({{error: String(error)}}));"
        );
        let answer = self.client.execute_async(&wrapped, arguments).await?;
        match answer.get("error") {
            Some(error) => bail!("the page's script failed: {error}"),
            None => Ok(answer["value"].clone()),
        }
    }

    /// A command of the browser's own protocol, for what drivers have no word for.
    ///
    /// # Errors
    /// When the browser refuses it.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<()> {
        let id = self.client.session_id().await?.context("no session")?;
        let port = self.port;
        let address = format!("http://127.0.0.1:{port}/session/{id}/goog/cdp/execute");
        let body = json!({"cmd": command, "params": parameters}).to_string();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = client
            .post(address)
            .header("Content-Type", "application/json");
        let answer = request.body(body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{command}: {}", answer.text().await?);
        Ok(())
    }

    /// What an input method shows while a word is not decided yet, as after one more key.
    ///
    /// # Errors
    /// When nothing on the page takes text.
    pub async fn compose(&self, text: &str) -> Result<()> {
        // Keys that an input method takes are told to the page as this one.
        let key = json!({"type": "rawKeyDown", "key": "Process", "windowsVirtualKeyCode": 229});
        self.devtools("Input.dispatchKeyEvent", key).await?;
        let end = text.encode_utf16().count();
        let shown = json!({"text": text, "selectionStart": end, "selectionEnd": end});
        self.devtools("Input.imeSetComposition", shown).await
    }

    /// The word is decided.
    ///
    /// # Errors
    /// When nothing on the page takes text.
    pub async fn decide(&self, text: &str) -> Result<()> {
        self.devtools("Input.insertText", json!({ "text": text }))
            .await
    }

    /// Asks the page again and again until `ask` has an answer. A failed question is asked again:
    /// the page may draw an element anew between two looks at it.
    ///
    /// # Errors
    /// When there is none in time; the message says what was waited for.
    pub async fn eventually<T>(
        &self,
        what: &str,
        ask: impl AsyncFn() -> Result<Option<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < PATIENCE {
            match ask().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => last = None,
                Err(error) => last = Some(format!("{error:#}")),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("waited {PATIENCE:?} for {what}; last error: {last:?}")
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

    /// Closes the browser.
    ///
    /// # Errors
    /// When the driver is gone already.
    pub async fn close(self) -> Result<()> {
        self.client
            .close()
            .await
            .context("chromium can't be closed")
    }
}
