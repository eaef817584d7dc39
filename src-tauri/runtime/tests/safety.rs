//! What a session can't do to this computer. The strongest of these tests need root: there a
//! mistake would give a session root's own rights.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use runtime::{ImageRoot, KernelId, KernelSpec, Mount, Runtime};
use support::{World, sh};

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Host process ids of everything below the session's supervisor.
fn processes_of(kernel: KernelId) -> Vec<u32> {
    // The session's machine id is its kernel's, which no other process can see.
    let marker = format!("{}\n", kernel.simple());
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/root/etc/machine-id"))
                .is_ok_and(|text| text == marker)
        })
        .collect()
}

#[tokio::test]
async fn started_by_root_a_session_is_a_nobody() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let owner = world
        .sandbox
        .owner()
        .expect("root's sessions have a host user of their own");
    assert!(owner.uid >= 0x7000_0000);
    let pids = processes_of(kernel.id());
    assert!(!pids.is_empty());
    for pid in pids {
        // Read from outside: the second number is the real user.
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let words: Vec<&str> = map.split_whitespace().collect();
        assert_eq!(
            words,
            ["1000", &owner.uid.to_string(), "1"],
            "process {pid}"
        );
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let uid = owner.uid.to_string();
        assert_eq!(line("Uid:"), vec![uid.clone(); 4], "process {pid}");
        assert_eq!(line("CapEff:"), ["0000000000000000"], "process {pid}");
        assert_eq!(line("CapPrm:"), ["0000000000000000"], "process {pid}");
        assert_eq!(line("NoNewPrivs:"), ["1"], "process {pid}");
        assert_eq!(line("Seccomp:"), ["2"], "process {pid}");
    }
    world.close().await;
}

#[tokio::test]
async fn no_file_of_root_alone_can_be_read() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let secret = world.dir.path().join("secret");
    fs::write(&secret, "of the engine").unwrap();
    let kernel = world.start(|_| {}).await;
    let mut tried = 0;
    for root in ["/etc", "/root", "/var/lib", "/usr", "/opt"] {
        for path in private_files(Path::new(root), 4) {
            tried += 1;
            let ran = sh(
                &*kernel,
                &format!("cat -- '{}' >/dev/null 2>&1", path.display()),
            )
            .await;
            assert_ne!(ran.exit_code, 0, "{} can be read", path.display());
            if tried > 60 {
                break;
            }
        }
    }
    assert!(tried > 0, "this computer has no private file to try");
    for path in [
        "/etc/shadow".to_owned(),
        "/etc/gshadow".to_owned(),
        "/proc/1/mem".to_owned(),
        "/proc/1/environ".to_owned(),
        "/proc/1/root/etc/shadow".to_owned(),
        "/proc/kcore".to_owned(),
        "/dev/kmsg".to_owned(),
        secret.display().to_string(),
    ] {
        let ran = sh(&*kernel, &format!("head -c1 {path} | grep -q .")).await;
        assert_ne!(ran.exit_code, 0, "{path} can be read");
    }
    world.close().await;
}

fn private_files(directory: &Path, depth: usize) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() && depth > 0 {
            found.extend(private_files(&entry.path(), depth - 1));
        } else if metadata.is_file()
            && metadata.len() > 0
            && metadata.uid() == 0
            && metadata.mode() & 0o044 == 0
        {
            found.push(entry.path());
        }
        if found.len() > 60 {
            break;
        }
    }
    found
}

#[tokio::test]
async fn nothing_of_the_host_shows() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let ran = sh(
        &*kernel,
        "ls -A /home /home/work | sort | tr '\\n' ' '; ls -A /root /mnt /media /srv 2>&1",
    )
    .await;
    assert!(
        !ran.stdout.contains("No such") || !ran.stdout.contains(".cargo"),
        "{}",
        ran.stdout
    );
    let ran = sh(
        &*kernel,
        "ls -A /home; ls -A /tmp; ls -A /run; ls -A /var/lib; ls -A /root",
    )
    .await;
    assert_eq!(ran.stdout, "work\ngangway\n", "{}", ran.stderr);
    // Own processes only: the runner, this shell and its children.
    let ran = sh(&*kernel, "ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm").await;
    let mut lines = ran.stdout.lines();
    assert!(lines.next().unwrap().trim().parse::<u32>().unwrap() < 8);
    assert_eq!(lines.next(), Some("runner"));
    // No name of anybody of this computer.
    let ran = sh(&*kernel, "cut -d: -f1 /etc/passwd | tr '\\n' ' '").await;
    assert_eq!(ran.stdout, "root work nobody ");
    for place in [
        "/usr/bin/x",
        "/etc/x",
        "/x",
        "/opt/x",
        "/run/x",
        "/var/x",
        "/sys/x",
    ] {
        let ran = sh(&*kernel, &format!("touch {place}")).await;
        assert_ne!(ran.exit_code, 0, "{place} can be written");
    }
    world.close().await;
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn system_calls_are_filtered() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let script = r#"
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *args)
    return errno.errorcode.get(ctypes.get_errno(), 'ok') if result < 0 else 'ok'
# x86_64: keyctl, bpf, mount, unshare, setns, clone3, io_uring_setup, perf_event_open, something from the future
for name, number, args in [
    ('keyctl', 250, (0, 0)), ('bpf', 321, (0, 0, 0)), ('mount', 165, (0, 0, 0, 0, 0)),
    ('unshare', 272, (0x10000000,)), ('setns', 308, (0, 0)), ('clone3', 435, (0, 0)),
    ('io_uring_setup', 425, (1, 0)), ('perf_event_open', 298, (0, 0, 0, 0, 0)), ('future', 999, ()),
    ('clone', 56, (0x10000000, 0, 0, 0, 0)), ('vsock', 41, (40, 1, 0)), ('getpid', 39, ()),
]:
    print(name, call(number, *args))
"#;
    let order = runtime::Execute {
        run_id: "calls".to_owned(),
        code: runtime::ExecuteCode::Python(script.to_owned()),
        stdin: None,
        log: false,
    };
    let ran = support::run(&*kernel, order).await;
    let expected = "keyctl EPERM\nbpf EPERM\nmount EPERM\nunshare EPERM\nsetns EPERM\nclone3 ENOSYS\n\
                    io_uring_setup EPERM\nperf_event_open EPERM\nfuture ENOSYS\nclone EPERM\nvsock EPERM\ngetpid ok\n";
    assert_eq!(ran.stdout, expected, "{}", ran.stderr);
    world.close().await;
}

#[tokio::test]
async fn usual_programs_run_under_the_filter() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let pool =
        "python3 -c 'from multiprocessing import Pool; print(sum(Pool(3).map(abs, range(100))))'";
    assert_eq!(sh(&*kernel, pool).await.stdout, "4950\n");
    let git = "cd /tmp && git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && git log --oneline | wc -l";
    assert_eq!(sh(&*kernel, git).await.stdout.trim(), "1");
    if Path::new("/usr/bin/node").exists() {
        let node = "node -e 'new (require(\"worker_threads\").Worker)(\"console.log(6*7)\", {eval: true})'";
        assert_eq!(sh(&*kernel, node).await.stdout, "42\n");
    }
    if Path::new("/usr/bin/gdb").exists() {
        let ran = sh(
            &*kernel,
            "gdb -batch -ex 'break main' -ex run -ex bt /usr/bin/true 2>&1; true",
        )
        .await;
        assert!(
            ran.stdout.contains("exited normally") || ran.stdout.contains("Breakpoint"),
            "{}",
            ran.stdout
        );
    }
    world.close().await;
}

#[tokio::test]
async fn the_runner_keeps_its_secrets_from_the_session() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let ran = sh(
        &*kernel,
        "ls /proc/1/fd 2>&1; kill -9 1; sleep 0.1; echo alive",
    )
    .await;
    assert!(ran.stdout.contains("ermission denied"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("alive\n"), "{}", ran.stdout);
    // No descriptor of the runner or the launcher leaks into programs.
    let ran = sh(&*kernel, "ls /proc/self/fd | tr '\\n' ' '").await;
    assert_eq!(ran.stdout, "0 1 2 3 ");
    // No secret in any argument list that the host shows.
    let kernel = world
        .start(|spec| {
            spec.environ
                .insert("TOKEN".to_owned(), "swordfish-7313".to_owned());
        })
        .await;
    assert_eq!(sh(&*kernel, "echo $TOKEN").await.stdout, "swordfish-7313\n");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&arguments).contains("swordfish-7313"),
            "{}",
            entry.path().display()
        );
    }
    world.close().await;
}

#[tokio::test]
async fn a_link_is_not_mounted() {
    let world = World::new();
    let folder = world.folder("folder");
    let link = world.dir.path().join("link");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    for (source, target) in [
        (link.join("ssl"), "/home/work/x"),
        (link, "/home/work/x"),
        (folder.join("missing"), "/home/work/x"),
        (folder.clone(), "/etc"),
        (folder, "/home/work/../../etc"),
    ] {
        let mut spec = KernelSpec::minimal(KernelId::new_v4(), "test");
        spec.mounts.push(Mount {
            source,
            target: target.into(),
            read_only: true,
        });
        let id = spec.kernel_id;
        assert!(world.sandbox.start(spec).await.is_err(), "{target}");
        assert!(
            !world
                .dir
                .path()
                .join("data/kernels")
                .join(id.to_string())
                .exists(),
            "something is left"
        );
    }
    world.close().await;
}

#[tokio::test]
async fn a_failed_start_leaves_nothing() {
    let world = World::new();
    let mut spec = KernelSpec::minimal(KernelId::new_v4(), "test");
    // An image without a shell or anything else: bubblewrap works, the runner works, so take away
    // what the runner itself needs.
    let empty = world.folder("image");
    fs::create_dir(empty.join("home")).unwrap();
    fs::write(empty.join("home/work"), "in the way").unwrap();
    spec.image = ImageRoot::Directory(empty);
    let id = spec.kernel_id;
    let error = world
        .sandbox
        .start(spec)
        .await
        .err()
        .expect("the home can't be mounted");
    assert!(!error.to_string().is_empty());
    assert!(
        !world
            .dir
            .path()
            .join("data/kernels")
            .join(id.to_string())
            .exists()
    );
    assert_eq!(
        fs::read_dir(world.dir.path().join("run")).unwrap().count(),
        0,
        "a socket is left"
    );
    world.close().await;
}
