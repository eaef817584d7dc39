//! What a session can do: programs, packages, and how much of the computer it gets.

use std::fs;

use anyhow::{Result, ensure};
use tests::computer::{Computer, PATIENCE, named, rows};
use tests::process::eventually;

use crate::python;

#[test]
fn ordinary_programs_work() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    ensure!(
        python(
            &computer,
            "inside",
            "import multiprocessing as m, os; print(sum(m.Pool(4).map(abs, range(-100, 0))))"
        )? == "5050"
    );
    ensure!(computer.ok("inside", "node -e 'console.log(6*7)'")? == "42");
    computer.ok("inside", "git init -q g && cd g && git -c user.email=a@b -c user.name=a commit -q --allow-empty -m x && git log | grep -q x")?;
    let gdb = computer.ok(
        "inside",
        "gdb -q -batch -ex 'break main' -ex run -ex 'info registers rip' /bin/true 2>&1; gdb -q -batch -ex run /bin/true 2>&1",
    )?;
    ensure!(gdb.contains("exited normally"), "{gdb}");
    // A compiler, and what it made.
    if fs::exists("/usr/bin/cc")? {
        computer.ok(
            "inside",
            "echo 'int main(){return 0;}' > x.c && cc x.c -o x && ./x",
        )?;
    }
    // Threads, shared memory and a terminal's programs.
    python(
        &computer,
        "inside",
        "from multiprocessing import shared_memory as s; m = s.SharedMemory(create=True, size=4096); m.close(); m.unlink()",
    )?;
    ensure!(
        computer
            .ok("inside", "nice -n 5 true; script -qc tty /dev/null")?
            .contains("/dev/pts")
    );
    ensure!(
        computer
            .ok(
                "inside",
                "date +%Z; locale 2>/dev/null | head -1; id -un; getent passwd work"
            )?
            .contains("work")
    );
    Ok(())
}

/// Python packages of the user's own, kept when `.local` is a data folder.
#[test]
fn pip_installs_for_the_user() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["folder", "create", ".local"])?;
    computer.launch("inside", &[])?;
    let first = computer.ok("inside", "/usr/bin/python3 -m pip install --quiet pyjokes 2>&1; command -v pyjoke; python3 -c 'import pyjokes; print(pyjokes.__file__)'")?;
    ensure!(
        first.contains("/home/work/.local/bin/pyjoke") && first.contains("/home/work/.local/lib"),
        "{first}"
    );
    computer.gangway(&["session", "rm", "--yes", "--force", "inside"])?;
    computer.launch("inside-again", &[])?;
    ensure!(
        computer.ok(
            "inside-again",
            "python3 -c 'import pyjokes' && command -v pyjoke"
        )? == "/home/work/.local/bin/pyjoke"
    );
    // That names are looked up pip has shown; a resolver on the host's loopback could not be asked.
    ensure!(
        !computer
            .ok("inside-again", "cat /etc/resolv.conf")?
            .contains("127.0.0.53")
    );
    Ok(())
}

#[test]
fn a_session_may_not_take_more_memory_than_it_was_given() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let notices = || -> Result<Vec<serde_json::Value>> {
        let session = computer.gangway(&["session", "show", "inside"])?;
        Ok(rows(&session, "notices")?.clone())
    };
    if notices()?
        .iter()
        .any(|notice| notice["code"] == "limits-advisory")
    {
        println!("no cgroup is delegated here, and the session says so");
        return Ok(());
    }
    computer.ok(
        "inside",
        "cp /usr/bin/python3 ./greedy 2>/dev/null || ln -s /usr/bin/python3 greedy",
    )?;
    let greedy = computer.sh(
        "inside",
        "./greedy -c 'x = [bytes([1]) * (1 << 20) for _ in range(4096)]'; echo ended $?",
    )?;
    ensure!(
        greedy.stdout.contains("ended 137") || greedy.status == 137,
        "{greedy:?}"
    );
    let told = eventually("the session to say what was killed", PATIENCE, || {
        Ok(notices()?
            .into_iter()
            .find(|notice| notice["code"] == "oom-killed"))
    })?;
    let message = told["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("greedy") || message.contains("python"),
        "{told}"
    );
    // The session is alive and well.
    ensure!(computer.gangway(&["session", "show", "inside"])?["status"] == "RUNNING");
    ensure!(computer.ok("inside", "echo alive")? == "alive");
    ensure!(
        tests::process::run(&mut computer.command(&["ssh", "inside", "--", "echo", "alive"]))?
            == "alive\n"
    );
    Ok(())
}

#[test]
fn processes_and_processor_time_are_limited() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let session = computer.gangway(&["session", "show", "inside"])?;
    if rows(&session, "notices")?
        .iter()
        .any(|notice| notice["code"] == "limits-advisory")
    {
        return Ok(());
    }
    // One core: two busy loops get the time of one between them.
    let used = python(
        &computer,
        "inside",
        "import os, time\npids = []\nfor i in range(2):\n    p = os.fork()\n    if p == 0:\n        e = time.time() + 2\n        while time.time() < e: pass\n        os._exit(0)\n    pids.append(p)\nfor p in pids: os.waitpid(p, 0)\nt = os.times(); print(t.children_user + t.children_system)",
    )?;
    ensure!(
        used.parse::<f64>()? < 2.6,
        "{used} s of processor time in 2 s on 1 core"
    );
    // What multiplies ends at its limit; threads count too, and take the least memory. The session
    // can still be reached.
    let started = python(
        &computer,
        "inside",
        "import os, threading\nthreading.stack_size(32768)\nstop = threading.Event()\nn = 0\ntry:\n    while n < 60000:\n        threading.Thread(target=stop.wait, daemon=True).start(); n += 1\nexcept RuntimeError: print(n, \"refused\", flush=True)\nos._exit(0)",
    )?;
    ensure!(started.ends_with(" refused"), "no limit was met: {started}");
    ensure!(computer.ok("inside", "echo alive")? == "alive");
    Ok(())
}

#[test]
fn a_session_sees_the_variables_it_should() -> Result<()> {
    let mut computer = Computer::new()?;
    computer
        .home_mut()
        .set("SECRET_OF_THE_HOST", "not-for-sessions");
    computer.home_mut().set("no_proxy", "localhost,example.org");
    computer.gangway(&["engine", "start"])?;
    computer.gangway(&["login", "--keychain", "file"])?;
    computer.launch("inside", &["--env", "MINE=yes = it is"])?;
    let shown = computer.ok("inside", "env")?;
    ensure!(shown.contains("MINE=yes = it is"), "{shown}");
    ensure!(!shown.contains("not-for-sessions"), "{shown}");
    ensure!(!shown.contains("GANGWAY_PASSPHRASE_FILE"), "{shown}");
    let over_ssh = tests::process::run(&mut computer.command(&["ssh", "inside", "--", "env"]))?;
    for variable in [
        "MINE=yes = it is",
        "HOME=/home/work",
        "USER=work",
        "PATH=/home/work/.local/bin:",
    ] {
        ensure!(
            over_ssh.contains(variable),
            "no {variable} over ssh: {over_ssh}"
        );
        ensure!(shown.contains(variable), "no {variable} in exec: {shown}");
    }
    // The first process's own environment holds nothing of the host either.
    let first = computer.sh("inside", "cat /proc/1/environ | tr '\\0' '\\n'")?;
    ensure!(!first.stdout.contains("not-for-sessions"), "{first:?}");
    let apps = computer.gangway(&["app", "ls", "inside"])?;
    named(rows(&apps, "apps")?, "sshd")?;
    Ok(())
}
