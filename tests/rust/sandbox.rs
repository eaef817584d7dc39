//! What a session can and can't do to this computer, tried from inside.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::computer::{Computer, PATIENCE};
use tests::process::eventually;

mod sandbox_use;

/// Runs Python in a session; standard output without the last newline.
fn python(computer: &Computer, session: &str, program: &str) -> Result<String> {
    ensure!(!program.contains('\''), "quotes");
    computer.ok(session, &format!("/usr/bin/python3 -c '{program}'"))
}

/// The process on the host that runs `sleep <mark>` in a session.
fn seen_from_the_host(computer: &Computer, session: &str, mark: &str) -> Result<PathBuf> {
    computer.ok(session, &format!("setsid sleep {mark} >/dev/null 2>&1 &"))?;
    let wanted = format!("sleep\0{mark}\0");
    eventually("the process to be seen from outside", PATIENCE, || {
        let found = fs::read_dir("/proc")?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                fs::read(path.join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
            });
        Ok(found)
    })
}

#[test]
fn a_session_is_nobody_on_the_host() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let process = seen_from_the_host(&computer, "inside", "98765.4321")?;
    let status = fs::read_to_string(process.join("status"))?;
    let field = |name: &str| -> Result<String> {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .context("status")?;
        Ok(line.split_once(':').context("status")?.1.trim().to_owned())
    };
    // All four: real, effective, saved and file system.
    for name in ["Uid", "Gid"] {
        let ids = field(name)?;
        ensure!(
            ids.split_whitespace().all(|id| id != "0"),
            "{name} on the host: {ids}"
        );
    }
    ensure!(
        field("NoNewPrivs")? == "1" && field("Seccomp")? == "2",
        "{status}"
    );
    for name in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        ensure!(
            field(name)?.trim_start_matches('0').is_empty(),
            "{name}: {}",
            field(name)?
        );
    }
    // What the ids inside are outside: never root, whatever they look like inside.
    for map in ["uid_map", "gid_map"] {
        let text = fs::read_to_string(process.join(map))?;
        for line in text.lines() {
            let [_, first, count] = line
                .split_whitespace()
                .filter_map(|word| word.parse::<u64>().ok())
                .collect::<Vec<_>>()[..]
            else {
                anyhow::bail!("{map}: {line}");
            };
            ensure!(
                first > 0 && count < 1 << 32,
                "{map} lets the host's root in: {text}"
            );
        }
    }
    for namespace in ["user", "pid", "mnt", "ipc", "uts", "net"] {
        let of = |path: &Path| fs::read_link(path.join("ns").join(namespace));
        ensure!(
            of(&process)? != of(Path::new("/proc/self"))?,
            "shared namespace: {namespace}"
        );
    }
    Ok(())
}

/// Every file of this computer that only root can read, as far as it is in a place that sessions
/// see: each is tried.
#[test]
fn files_of_root_stay_closed() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let mut closed = Vec::new();
    for top in [
        "/etc",
        "/usr/local",
        "/opt",
        "/var",
        "/srv",
        "/boot",
        "/root",
    ] {
        collect_closed(Path::new(top), &mut closed);
    }
    ensure!(
        closed.iter().any(|path| path == "/etc/shadow"),
        "no /etc/shadow among {closed:?}"
    );
    // Two that would be open if somebody only hid names.
    let mine = computer.home().path("gangway/data/engine/engine.json");
    closed.push(mine.to_string_lossy().into_owned());
    let mut exec = computer.command(&["ssh", "inside", "--", "xargs -d '\\n' head -qc1"]);
    let mut child = exec
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    let list = closed.join("\n");
    let writer = thread::spawn(move || stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output()?;
    ensure!(
        writer.join().is_ok_and(|it| it.is_ok()),
        "the list was not taken"
    );
    ensure!(
        output.stdout.is_empty(),
        "{} bytes of {} closed files were read: {:?}",
        output.stdout.len(),
        closed.len(),
        String::from_utf8_lossy(&output.stdout)
    );
    println!("{} files of root tried", closed.len());
    // And that `head` does read what it may.
    ensure!(
        computer
            .ok("inside", "echo /etc/passwd | xargs -d '\\n' head -qc1")?
            .len()
            == 1
    );
    Ok(())
}

fn collect_closed(folder: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let path = entry.path();
        if about.is_dir() {
            collect_closed(&path, found);
        } else if about.is_file()
            && about.uid() == 0
            && about.permissions().mode() & 0o004 == 0
            && about.len() > 0
            && let Some(text) = path.to_str().filter(|text| !text.contains('\n'))
        {
            found.push(text.to_owned());
        }
    }
}

#[test]
fn the_hosts_files_are_read_only_and_the_private_ones_hidden() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let hidden = "for d in /root /home /mnt /media /srv /boot /var/lib /var/log /var/spool; do \
                  ls -A $d 2>/dev/null | sed \"s#^#$d/#\"; done";
    let shown = computer.ok("inside", hidden)?;
    ensure!(shown == "/home/work", "these are to be seen: {shown}");
    ensure!(computer.ok("inside", "ls /home/work")? == "id_container");
    ensure!(
        computer.ok("inside", "ls -A /tmp")?.is_empty(),
        "the host's /tmp is to be seen"
    );
    ensure!(!computer.ok("inside", "ls -A /run")?.contains("dbus"));
    for place in [
        "/usr/bin/x",
        "/etc/x",
        "/bin/x",
        "/lib/x",
        "/opt/x",
        "/x",
        "/proc/sys/kernel/hostname",
        "/sys/x",
    ] {
        let said = computer.sh("inside", &format!("echo x > {place}"))?;
        ensure!(said.status != 0, "{place} can be written");
    }
    computer.ok("inside", "echo x > /tmp/x && echo x > /home/work/x && echo x > /run/user/x 2>/dev/null || echo x > /tmp/y")?;
    ensure!(
        computer
            .ok("inside", "ps ax | wc -l")?
            .trim()
            .parse::<usize>()?
            < 30,
        "the host's processes are to be seen"
    );
    ensure!(
        computer.ok("inside", "hostname")?
            != fs::read_to_string("/proc/sys/kernel/hostname")?.trim()
    );
    // Devices: the harmless ones.
    for device in [
        "/dev/vda",
        "/dev/sda",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/net/tun",
        "/dev/fuse",
    ] {
        let said = computer.sh("inside", &format!("head -c1 {device}"))?;
        ensure!(said.status != 0, "{device} can be read");
    }
    computer.ok(
        "inside",
        "head -c1 /dev/urandom > /dev/null && test -w /dev/shm && echo > /dev/null",
    )?;
    // Two sessions do not see each other either.
    computer.launch("neighbour", &[])?;
    computer.ok(
        "neighbour",
        "echo private > /home/work/mine; echo private > /tmp/mine",
    )?;
    ensure!(
        computer
            .sh("inside", "cat /tmp/mine /home/work/mine")?
            .status
            != 0
    );
    Ok(())
}

#[test]
fn dangerous_calls_are_refused() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    // Numbers of x86_64; those of aarch64 differ.
    if cfg!(not(target_arch = "x86_64")) {
        return Ok(());
    }
    let program = r#"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(*a):
    ctypes.set_errno(0)
    r = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    return errno.errorcode.get(ctypes.get_errno(), "ok") if r < 0 else "ok"
print("clone3", call(435, 0, 0))
print("mount", call(165, b"none", b"/tmp", b"tmpfs", 0, 0))
print("umount", call(166, b"/tmp", 0))
print("keyctl", call(250, 0, -3, 1))
print("add_key", call(248, b"user", b"x", b"y", 1, -3))
print("bpf", call(321, 0, 0, 0))
print("perf", call(298, 0, 0, -1, -1, 0))
print("userfaultfd", call(323, 0))
print("unshare-user", call(272, 0x10000000))
print("unshare-mount", call(272, 0x20000))
print("setns", call(308, -1, 0))
print("pivot_root", call(155, b"/", b"/"))
print("kexec", call(246, 0, 0, 0, 0))
print("init_module", call(175, 0, 0, b""))
print("reboot", call(169, 0, 0, 0, 0))
print("swapon", call(167, b"/x", 0))
print("settime", call(227, 0, 0))
print("open_by_handle", call(304, -1, 0, 0))
print("io_uring", call(425, 1, 0))
print("chroot", call(161, b"/tmp"))
print("setuid0", call(105, 0))
"#;
    fs::write(computer.path("calls.py"), program)?;
    computer.gangway(&["cp", "calls.py", "inside:calls.py"])?;
    let said = computer.ok("inside", "/usr/bin/python3 calls.py")?;
    println!("{said}");
    for line in said.lines() {
        let (name, outcome) = line.split_once(' ').context("a line")?;
        let wanted: &[&str] = match name {
            "clone3" => &["ENOSYS"],
            // There is no such user in the session.
            "setuid0" => &["EINVAL", "EPERM"],
            _ => &["EPERM", "ENOSYS", "EACCES"],
        };
        ensure!(wanted.contains(&outcome), "{name}: {outcome}\n{said}");
    }
    ensure!(said.lines().count() == 21, "{said}");
    // A set-uid program gives nothing: there are no new privileges.
    let su = computer.sh(
        "inside",
        "su root -c id < /dev/null; mount -t tmpfs none /tmp; unshare -Ur true",
    )?;
    ensure!(su.status != 0 && !su.stdout.contains("uid=0"), "{su:?}");
    Ok(())
}

#[test]
fn the_hosts_loopback_is_out_of_reach() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("inside", &[])?;
    let reached = Arc::new(AtomicUsize::new(0));
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let count = Arc::clone(&reached);
    thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"reached");
        }
    });
    let datagrams = UdpSocket::bind("127.0.0.1:0")?;
    datagrams.set_read_timeout(Some(Duration::from_millis(300)))?;
    let udp_port = datagrams.local_addr()?.port();
    let program = format!(
        "import socket, re\n\
         gateways = [\".\".join(str(int(l.split()[2][i:i+2], 16)) for i in (6, 4, 2, 0)) for l in open(\"/proc/net/route\").readlines()[1:]]\n\
         for host in set([\"127.0.0.1\", \"::1\", \"localhost\", \"10.0.2.2\", \"169.254.1.1\", \"127.0.0.53\"] + gateways):\n\
         \x20   try:\n\
         \x20       socket.create_connection((host, {port}), 2); print(\"reached\", host)\n\
         \x20   except OSError as e:\n\
         \x20       pass\n\
         \x20   try:\n\
         \x20       socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b\"x\", (host, {udp_port}))\n\
         \x20   except OSError as e:\n\
         \x20       pass\n"
    );
    let said = python(&computer, "inside", &program)?;
    ensure!(!said.contains("reached"), "{said}");
    ensure!(
        reached.load(Ordering::SeqCst) == 0,
        "a connection came through"
    );
    ensure!(
        datagrams.recv(&mut [0; 8]).is_err(),
        "a datagram came through"
    );

    // The other way: a server in the session does not appear on the host.
    computer.ok(
        "inside",
        "(setsid python3 -m http.server 45871 >/dev/null 2>&1 &); sleep 1",
    )?;
    computer.ok(
        "inside",
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 45871), 5)'",
    )?;
    ensure!(
        std::net::TcpStream::connect("127.0.0.1:45871").is_err(),
        "a port of the session is on the host"
    );
    Ok(())
}
