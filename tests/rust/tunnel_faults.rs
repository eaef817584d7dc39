//! Tunnels over links that fail: cut, away for longer, slow, late, frozen; a manager that is started
//! again; a computer that sleeps. Ports stay, and whoever connects waits a little.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE, rows};
use tests::link::Link;
use tests::local_port::get;
use tests::peer;
use tests::process::{eventually, run};

/// A manager, and a computer that reaches it over a link.
struct Far {
    computer: Computer,
    link: Link,
    server: Computer,
    /// The port of a web page in the session, and of an echo.
    web: u16,
    echo: u16,
}

/// Sends back what it gets, on port 9000.
const ECHO: &str = "import socketserver\n\
    class Echo(socketserver.BaseRequestHandler):\n    \
    def handle(self):\n        \
    while (data := self.request.recv(65536)): self.request.sendall(data)\n\
    socketserver.ThreadingTCPServer.allow_reuse_address = True\n\
    socketserver.ThreadingTCPServer(('127.0.0.1', 9000), Echo).serve_forever()";

impl Far {
    fn begin(session: &str) -> Result<Self> {
        let server = Computer::logged_in()?;
        let endpoint = server.gangway(&["whoami"])?["endpoint"].clone();
        let link = Link::to(endpoint.as_str().context("endpoint")?)?;
        let keys = server.gangway(&["keypair", "show", "--secret"])?;
        let key = |name: &str| keys[name].as_str().context("key");
        let computer = Computer::new()?;
        let keypair = (key("access_key")?, key("secret_key")?);
        let output =
            peer::log_in_by_keypair(&computer, &link.address(), keypair, &["--as", "lab"])?;
        ensure!(output.status.success(), "{output:?}");
        computer.launch(session, &[])?;
        computer.serve(session, "over the link")?;
        computer.ok(
            session,
            &format!("cat > echo.py <<'X'\n{ECHO}\nX\n(setsid python3 echo.py >/dev/null 2>&1 &)"),
        )?;
        let open = |more: &[&str]| -> Result<u16> {
            let words = [&["tunnel", "open", session], more, &["--background"]].concat();
            let tunnel = computer.gangway(&words)?;
            let port = tunnel["local_port"].as_u64().context("local_port")?;
            Ok(u16::try_from(port)?)
        };
        let (web, echo) = (open(&["8000", "--http"])?, open(&["9000"])?);
        let far = Self {
            computer,
            link,
            server,
            web,
            echo,
        };
        eventually("both ways", PATIENCE, || {
            Ok((page(far.web).is_ok() && say(far.echo).is_ok()).then_some(()))
        })?;
        Ok(far)
    }

    fn tunnels(&self) -> Result<Vec<Value>> {
        let list = self.computer.gangway(&["tunnel", "ls"])?;
        Ok(rows(&list, "tunnels")?.clone())
    }

    /// The tunnels are as they were, and nothing is said against them.
    fn is_well(&self) -> Result<()> {
        page(self.web)?;
        say(self.echo)?;
        let tunnels = self.tunnels()?;
        let ports: Vec<_> = tunnels.iter().map(|it| it["local_port"].clone()).collect();
        ensure!(ports == [self.web, self.echo], "{tunnels:?}");
        for tunnel in &tunnels {
            let well = tunnel["state"] == "open" && tunnel["last_error"].is_null();
            ensure!(well, "{tunnel}");
        }
        Ok(())
    }

    /// Connects to both while something is wrong, for which `mend` is the cure; both have to wait and
    /// then work. How long they took.
    fn bridges(&self, mend: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let started = Instant::now();
        let (web, echo) = (self.web, self.echo);
        let waiting = [
            thread::spawn(move || page(web)),
            thread::spawn(move || say(echo)),
        ];
        mend()?;
        for one in waiting {
            one.join().map_err(|_| anyhow!("it panicked"))??;
        }
        Ok(started.elapsed())
    }
}

/// The page behind a tunnel.
fn page(port: u16) -> Result<()> {
    let page = get(port, "/")?;
    ensure!(page.contains("over the link"), "{page}");
    Ok(())
}

/// A word and its echo behind a tunnel.
fn say(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"hello")?;
    let mut said = [0; 5];
    stream.read_exact(&mut said)?;
    ensure!(said == *b"hello");
    Ok(())
}

#[test]
fn a_link_that_is_cut_for_a_moment_only_delays() -> Result<()> {
    let far = Far::begin("severed")?;
    let mut held = TcpStream::connect(("127.0.0.1", far.echo))?;
    held.write_all(b"hello")?;
    held.read_exact(&mut [0; 5])?;
    far.link.refuse(true);
    far.link.cut();
    // Who was connected learns of it at once; that can't be hidden.
    held.set_read_timeout(Some(Duration::from_secs(10)))?;
    ensure!(matches!(held.read(&mut [0; 5]), Ok(0) | Err(_)));
    far.bridges(|| {
        let seen = eventually("the table to tell of it", PATIENCE, || {
            let tunnels = far.tunnels()?;
            let waits = |it: &Value| it["state"] == "waiting" && it["last_error"].is_object();
            Ok(tunnels.iter().all(waits).then_some(tunnels))
        })?;
        let error = &seen[0]["last_error"];
        ensure!(error["code"] == "manager_unreachable", "{error}");
        thread::sleep(Duration::from_secs(2));
        far.link.refuse(false);
        Ok(())
    })?;
    far.is_well()
}

#[test]
fn a_link_that_stays_away_is_told_and_the_port_stays() -> Result<()> {
    let far = Far::begin("away")?;
    far.link.refuse(true);
    far.link.cut();
    let started = Instant::now();
    let told = get(far.web, "/")?;
    ensure!(
        told.starts_with("HTTP/1.1 503")
            && told.contains("The connection to the manager of the session away is down."),
        "{told}"
    );
    let waited = started.elapsed();
    ensure!(waited > Duration::from_secs(5), "given up after {waited:?}");
    let mut stream = TcpStream::connect(("127.0.0.1", far.echo))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut said = Vec::new();
    // No page is ever written into what is not HTTP.
    ensure!(matches!(stream.read_to_end(&mut said), Ok(0) | Err(_)) && said.is_empty());
    for tunnel in far.tunnels()? {
        let told = tunnel["state"] == "waiting" && tunnel["last_error"].is_object();
        ensure!(told, "{tunnel}");
    }
    far.link.refuse(false);
    far.is_well()?;
    let report = far
        .computer
        .gangway(&["tunnel", "report", &far.web.to_string()])?;
    ensure!(
        report.to_string().contains("hop network failed after"),
        "{report}"
    );
    Ok(())
}

#[test]
fn a_slow_and_late_link_carries_everything() -> Result<()> {
    let far = Far::begin("late")?;
    far.computer.ok(
        "late",
        "head -c 300000 /dev/zero | tr '\\0' 'x' > web/large",
    )?;
    far.link.delay(Duration::from_millis(150));
    far.link.slow_down(200_000);
    let started = Instant::now();
    let large = get(far.web, "/large")?;
    let body = large.split("\r\n\r\n").nth(1).context("a body")?;
    ensure!(body.len() == 300_000 && body.bytes().all(|byte| byte == b'x'));
    ensure!(
        started.elapsed() > Duration::from_secs(1),
        "it was not slow"
    );
    // One that has to be made anew tells how far the manager is.
    far.link.cut();
    far.is_well()?;
    let latency = far.tunnels()?[0]["latency_ms"]
        .as_u64()
        .context("latency")?;
    ensure!(latency >= 300, "{latency} ms over a link of 300");
    Ok(())
}

/// What lay ready and what was kept for requests is of no use any more, and nobody says so.
#[test]
fn a_link_that_froze_is_left_for_a_new_one() -> Result<()> {
    let far = Far::begin("frozen")?;
    // Streams lie ready after use.
    page(far.web)?;
    say(far.echo)?;
    thread::sleep(Duration::from_secs(2));
    far.link.freeze();
    let took = far.bridges(|| Ok(()))?;
    ensure!(took < Duration::from_secs(12), "it took {took:?}");
    far.is_well()
}

#[test]
fn a_manager_that_is_started_again_only_delays() -> Result<()> {
    let far = Far::begin("again")?;
    // What lies ready for a moment only is not asked whether it lives, and may end with the manager.
    thread::sleep(Duration::from_millis(1500));
    far.server.kill_engine()?;
    let mend = || {
        thread::sleep(Duration::from_secs(1));
        far.server.gangway(&["engine", "start"]).map(drop)
    };
    let started = Instant::now();
    let bridged = far.bridges(mend);
    // On a busy machine it is away for longer than anybody is held; then a page loads again.
    ensure!(
        bridged.is_ok() || started.elapsed() > Duration::from_secs(9),
        "{bridged:?}"
    );
    eventually("both ways", PATIENCE, || {
        Ok((page(far.web).is_ok() && say(far.echo).is_ok()).then_some(()))
    })?;
    far.is_well()
}

/// Its connections died while it slept, and its clocks went on.
#[test]
fn a_computer_that_slept_works_again_at_once() -> Result<()> {
    let far = Far::begin("asleep")?;
    page(far.web)?;
    say(far.echo)?;
    let host = far.computer.host_pid()?.to_string();
    let signal = |name: &str| run(Command::new("kill").args([name, &host])).map(drop);
    signal("-STOP")?;
    far.link.freeze();
    thread::sleep(Duration::from_secs(25));
    // Who connects while it sleeps is served when it wakes.
    let took = far.bridges(|| signal("-CONT"))?;
    ensure!(took < Duration::from_secs(12), "it took {took:?}");
    far.is_well()?;
    ensure!(far.computer.host_pid()?.to_string() == host, "another host");
    Ok(())
}
