//! The system's own SSH programs, and what people run on top of them, against our server.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::computer::{Computer, PATIENCE};
use tests::files;
use tests::process::{Running, eventually, figure, finish, run};

/// A session, and the configuration with which the system's programs find it.
struct Peers {
    computer: Computer,
    config: PathBuf,
    host: String,
}

impl Peers {
    fn new() -> Result<Self> {
        let computer = Computer::logged_in()?;
        let id = computer.launch("peers-test", &[])?;
        computer.gangway(&["ssh-config", "install", "--yes"])?;
        // ssh looks into the home of the passwd file, and not into $HOME, so it has to be told.
        let config = computer.path(".ssh/config");
        let request = format!("{{\"session\": \"{id}\"}}");
        let info: Value = computer.gangway(&["call", "ssh.info", &request])?;
        let host = info["host"].as_str().context("host")?.to_owned();
        Ok(Self {
            computer,
            config,
            host,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.computer.home().command(program);
        command.stdin(Stdio::null());
        if ["ssh", "sftp", "scp"].contains(&program) {
            command
                .arg("-F")
                .arg(&self.config)
                .args(["-o", "BatchMode=yes"]);
        }
        command
    }

    fn ssh(&self, script: &str) -> Command {
        let mut command = self.command("ssh");
        command.arg(&self.host).arg(script);
        command
    }

    fn rsh(&self) -> String {
        format!("ssh -F {} -o BatchMode=yes", self.config.display())
    }

    fn remote(&self, path: &str) -> String {
        format!("{}:{path}", self.host)
    }
}

#[test]
fn ssh_runs_commands() -> Result<()> {
    let peers = Peers::new()?;
    let output = finish(&mut peers.ssh("echo $((40 + 2)); echo bad >&2; exit 7"))?;
    ensure!(
        output.stdout == b"42\n" && output.status.code() == Some(7),
        "{output:?}"
    );
    ensure!(
        String::from_utf8_lossy(&output.stderr).contains("bad"),
        "{output:?}"
    );
    ensure!(run(&mut peers.ssh("whoami; pwd; echo $HOME"))? == "work\n/home/work\n/home/work\n");

    // A real terminal: it has a name, a size and a line discipline.
    let mut with_terminal = peers.command("ssh");
    with_terminal
        .arg("-tt")
        .arg(&peers.host)
        .arg("tty; stty -a | head -1; test -t 1");
    let output = finish(&mut with_terminal)?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && text.contains("/dev/pts/"),
        "{output:?}"
    );

    // A shell reads from standard input until its end.
    let mut shell = Running::start(
        peers
            .command("ssh")
            .arg(&peers.host)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    )?;
    shell
        .child()
        .stdin
        .take()
        .context("stdin")?
        .write_all(b"echo typed-$((1+1))\nexit 5\n")?;
    let mut said = String::new();
    shell
        .child()
        .stdout
        .take()
        .context("stdout")?
        .read_to_string(&mut said)?;
    ensure!(said.contains("typed-2"), "{said}");
    ensure!(shell.child().wait()?.code() == Some(5));

    // Standard input goes both ways unharmed, and its end is told.
    let file = peers.computer.path("through.bin");
    files::big(&file, 8 << 20)?;
    let through = peers.ssh("cat").stdin(fs::File::open(&file)?).output()?;
    ensure!(
        through.status.success() && through.stdout == fs::read(&file)?,
        "cat changed bytes"
    );

    // Killed by a signal, it is not a success.
    ensure!(!finish(&mut peers.ssh("kill -9 $$"))?.status.success());
    // Nobody gets in with another key.
    let other = peers.computer.path("other");
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other))?;
    // The session's own key is named in the file, and would be tried as well.
    let text = fs::read_to_string(included(&peers)?)?;
    let changed: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("IdentityFile"))
        .fold(String::new(), |all, line| all + line + "\n");
    let config = peers.computer.path("stranger.config");
    fs::write(&config, changed)?;
    let refused = finish(
        peers
            .computer
            .home()
            .command("ssh")
            .arg("-F")
            .arg(&config)
            .args(["-o", "BatchMode=yes", "-i"])
            .arg(&other)
            .arg(&peers.host)
            .arg("true"),
    )?;
    ensure!(
        refused.status.code() == Some(255)
            && String::from_utf8_lossy(&refused.stderr).contains("Permission denied"),
        "{refused:?}"
    );
    Ok(())
}

/// The file that the `Include` line of the configuration names.
fn included(peers: &Peers) -> Result<PathBuf> {
    let text = fs::read_to_string(&peers.config)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Include "))
        .context("Include")?;
    Ok(PathBuf::from(line.trim_matches('"')))
}

#[test]
fn a_big_file_comes_back_the_same() -> Result<()> {
    big_file(128 << 20)
}

#[test]
#[ignore = "long: part of the full run"]
fn a_gibibyte_comes_back_the_same() -> Result<()> {
    big_file(1 << 30)
}

fn big_file(size: u64) -> Result<()> {
    let peers = Peers::new()?;
    let file = peers.computer.path("big.bin");
    files::big(&file, size)?;
    let digest = files::sha256(&file)?;
    let back = peers.computer.path("back.bin");
    let carry = |what: &str, up: &mut Command, down: &mut Command| -> Result<()> {
        let started = Instant::now();
        run(up).with_context(|| format!("{what} up"))?;
        let took_up = started.elapsed();
        let there = peers
            .computer
            .ok("peers-test", "sha256sum big.bin | cut -d' ' -f1")?;
        ensure!(there == digest, "{what} up changed the file");
        let started = Instant::now();
        run(down).with_context(|| format!("{what} down"))?;
        figure(
            &format!(
                "{} MiB by `{what}` through `ssh-proxy`, up / down",
                size >> 20
            ),
            "same bytes",
            format!(
                "{:.0} / {:.0} MiB/s",
                (size >> 20) as f64 / took_up.as_secs_f64(),
                (size >> 20) as f64 / started.elapsed().as_secs_f64()
            ),
        );
        ensure!(
            files::sha256(&back)? == digest,
            "{what} down changed the file"
        );
        fs::remove_file(&back)?;
        peers.computer.ok("peers-test", "rm big.bin")?;
        Ok(())
    };
    let remote = peers.remote("big.bin");
    carry(
        "scp",
        peers.command("scp").arg("-q").arg(&file).arg(&remote),
        peers.command("scp").arg("-q").arg(&remote).arg(&back),
    )?;
    let batch = |name: &str, line: String| -> Result<PathBuf> {
        let path = peers.computer.path(name);
        fs::write(&path, line)?;
        Ok(path)
    };
    let put = batch("put", format!("put {} big.bin\n", file.display()))?;
    let get = batch("get", format!("get big.bin {}\n", back.display()))?;
    carry(
        "sftp",
        peers
            .command("sftp")
            .arg("-q")
            .arg("-b")
            .arg(put)
            .arg(&peers.host),
        peers
            .command("sftp")
            .arg("-q")
            .arg("-b")
            .arg(get)
            .arg(&peers.host),
    )?;
    carry(
        "rsync",
        peers
            .command("rsync")
            .args(["-a", "-e", &peers.rsh()])
            .arg(&file)
            .arg(&remote),
        peers
            .command("rsync")
            .args(["-a", "-e", &peers.rsh()])
            .arg(&remote)
            .arg(&back),
    )?;
    Ok(())
}

#[test]
fn small_files_come_back_the_same() -> Result<()> {
    small_files(300)
}

#[test]
#[ignore = "long: part of the full run"]
fn two_thousand_small_files_come_back_the_same() -> Result<()> {
    small_files(2000)
}

fn small_files(count: usize) -> Result<()> {
    let peers = Peers::new()?;
    let tree = peers.computer.path("tree");
    files::many(&tree, count)?;
    let odd = tree.join("with space ünd 한글 'quotes' $HOME");
    fs::create_dir(&odd)?;
    fs::write(odd.join("-leading dash\tand tab"), "odd")?;
    let tell = |what: &str, started: Instant| {
        figure(
            &format!("{count} small files by `{what}`, there and back"),
            "same bytes",
            format!("{:.1} s", started.elapsed().as_secs_f64()),
        );
    };

    let started = Instant::now();
    let rsync = |from: &str, to: &str| {
        run(peers
            .command("rsync")
            .args(["-a", "-e", &peers.rsh(), from, to]))
    };
    rsync(&format!("{}/", tree.display()), &peers.remote("by-rsync/"))?;
    let back = peers.computer.path("by-rsync");
    rsync(&peers.remote("by-rsync/"), &format!("{}/", back.display()))?;
    files::same(&tree, &back)?;
    tell("rsync", started);
    // Nothing has changed, so nothing is sent.
    let again = run(peers.command("rsync").args([
        "-ai",
        "-e",
        &peers.rsh(),
        &format!("{}/", tree.display()),
        &peers.remote("by-rsync/"),
    ]))?;
    ensure!(again.is_empty(), "times or modes were not kept: {again}");

    let started = Instant::now();
    let back = peers.computer.path("by-scp");
    run(peers
        .command("scp")
        .args(["-q", "-r", "-p"])
        .arg(&tree)
        .arg(peers.remote("by-scp")))?;
    run(peers
        .command("scp")
        .args(["-q", "-r", "-p"])
        .arg(peers.remote("by-scp"))
        .arg(&back))?;
    files::same(&tree, &back)?;
    tell("scp", started);

    let started = Instant::now();
    let back = peers.computer.path("by-sftp");
    let lines = peers.computer.path("batch");
    fs::write(
        &lines,
        format!(
            "mkdir by-sftp\nput -r {}/* by-sftp/\nget -r by-sftp {}\n",
            tree.display(),
            back.display()
        ),
    )?;
    run(peers
        .command("sftp")
        .arg("-q")
        .arg("-b")
        .arg(&lines)
        .arg(&peers.host))?;
    files::same(&tree, &back)?;
    tell("sftp", started);
    Ok(())
}

#[test]
fn ports_are_forwarded_both_ways() -> Result<()> {
    let peers = Peers::new()?;
    // -L: a server in the session, seen from here.
    peers.computer.ok(
        "peers-test",
        "mkdir -p www && echo served-inside > www/index.txt && cd www && \
         (setsid python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &)",
    )?;
    let local = free_port()?;
    let forward = format!("127.0.0.1:{local}:127.0.0.1:8000");
    let _left = Running::start(
        peers
            .command("ssh")
            .args(["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward])
            .arg(&peers.host),
    )?;
    let page = eventually("the forwarded page", PATIENCE, || {
        Ok(fetch(local, "/index.txt").ok())
    })?;
    ensure!(page.ends_with("served-inside\n"), "{page}");

    // -R: a server here, seen from the session; the session could not reach it otherwise.
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(b"served-outside\n");
        }
    });
    let backward = format!("127.0.0.1:9009:127.0.0.1:{port}");
    let _right = Running::start(
        peers
            .command("ssh")
            .args(["-N", "-o", "ExitOnForwardFailure=yes", "-R", &backward])
            .arg(&peers.host),
    )?;
    let said = eventually("the session to reach us", PATIENCE, || {
        let said = peers.computer.sh(
            "peers-test",
            "python3 -c 'import socket; print(socket.create_connection((\"127.0.0.1\", 9009), 5).recv(99).decode())'",
        )?;
        Ok((said.status == 0).then_some(said.stdout))
    })?;
    ensure!(said.contains("served-outside"), "{said}");
    Ok(())
}

#[test]
fn git_clones_and_pushes() -> Result<()> {
    let peers = Peers::new()?;
    peers.computer.ok(
        "peers-test",
        "git init -q --bare repo.git && git clone -q repo.git work 2>/dev/null && cd work && \
         git config user.email a@b.c && git config user.name A && echo one > file && \
         git add file && git commit -q -m one && git push -q origin HEAD:main && \
         git -C ../repo.git symbolic-ref HEAD refs/heads/main",
    )?;
    let git = |arguments: &[&str]| {
        run(peers
            .command("git")
            .env("GIT_SSH_COMMAND", peers.rsh())
            .args(arguments))
    };
    let clone = peers.computer.path("clone");
    let clone_path = clone.to_string_lossy();
    git(&["clone", "-q", &peers.remote("repo.git"), &clone_path])?;
    ensure!(fs::read_to_string(clone.join("file"))? == "one\n");
    fs::write(clone.join("file"), "two\n")?;
    git(&[
        "-C",
        &clone_path,
        "-c",
        "user.email=a@b.c",
        "-c",
        "user.name=A",
        "commit",
        "-q",
        "-a",
        "-m",
        "two",
    ])?;
    git(&["-C", &clone_path, "push", "-q", "origin", "HEAD:main"])?;
    ensure!(
        peers
            .computer
            .ok("peers-test", "git -C repo.git show main:file")?
            == "two"
    );
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn fetch(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    ensure!(!page.is_empty(), "an empty answer");
    Ok(page)
}
