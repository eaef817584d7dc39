//! A session from its start to its end, as its owner sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::time::Duration;

use runtime::{Exit, Runtime};
use support::{SshDoor, World, sh, text};

#[tokio::test]
async fn starts_works_and_ends() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let ran = sh(
        &*kernel,
        "id -un; id -u; pwd; hostname; echo oops >&2; exit 3",
    )
    .await;
    assert_eq!(ran.stdout, "work\n1000\n/home/work\nmain1\n");
    assert_eq!(ran.stderr, "oops\n");
    assert_eq!(ran.exit_code, 3);
    let exit = kernel.terminate(Duration::from_secs(1)).await.unwrap();
    assert_eq!(exit, Exit::Terminated);
    assert!(world.sandbox.adopt(kernel.id()).await.unwrap().is_none());
    assert_eq!(
        world.sandbox.exit(kernel.id()).await.unwrap(),
        Some(Exit::Terminated)
    );
    world.close().await;
}

#[tokio::test]
async fn the_systems_own_ssh_works() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let door = SshDoor::open(kernel.clone()).await;
    let output = door.ssh(&["echo hello; echo $PATH; exit 7"]).await;
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("hello\n/home/work/.local/bin:"),
        "{}",
        text(&output.stdout)
    );
    world.close().await;
}

#[tokio::test]
async fn a_login_shell_has_the_sessions_path_and_a_terminal() {
    let world = World::new();
    let kernel = world
        .start(|spec| {
            spec.environ.insert("COLOR".to_owned(), "green".to_owned());
            spec.path_prefix.push("/opt/env/bin".into());
        })
        .await;
    let door = SshDoor::open(kernel.clone()).await;
    let mut command = door.command("ssh");
    command
        .args(["-tt", "work@127.0.0.1"])
        .stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"echo path=$PATH $COLOR; tty; exit 5\n")
        .await
        .unwrap();
    let output = support::within(child.wait_with_output()).await.unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{shown}");
    assert!(
        shown.contains("path=/home/work/.local/bin:/opt/env/bin:"),
        "{shown}"
    );
    assert!(
        shown.contains(" green") && shown.contains("/dev/pts/"),
        "{shown}"
    );
    world.close().await;
}

#[tokio::test]
async fn only_the_sessions_own_keys_and_those_added_later_open_the_door() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let other = world.start(|_| {}).await;
    let mut door = SshDoor::open(kernel.clone()).await;
    let stranger = SshDoor::open(other).await;
    door.key.clone_from(&stranger.key);
    assert_eq!(door.ssh(&["true"]).await.status.code(), Some(255));
    let public = tokio::process::Command::new("ssh-keygen")
        .arg("-y")
        .arg("-f")
        .arg(&stranger.key)
        .output()
        .await
        .unwrap();
    sh(
        &*kernel,
        &format!(
            "echo '{}' >> ~/.ssh/authorized_keys",
            text(&public.stdout).trim()
        ),
    )
    .await;
    assert_eq!(door.ssh(&["true"]).await.status.code(), Some(0));
    world.close().await;
}

#[tokio::test]
async fn ports_are_forwarded_both_ways() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let door = SshDoor::open(kernel.clone()).await;
    sh(
        &*kernel,
        "echo inside > f; python3 -m http.server 8700 --bind 127.0.0.1 >/dev/null 2>&1 &",
    )
    .await;
    let up = async {
        while kernel.connect(8700).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    support::within(up).await;
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host_port = host.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = host.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"from outside\n").await;
        }
    });
    // -W: the client's own streams are the forwarded connection.
    let mut command = door.command("ssh");
    command
        .args(["-W", "localhost:8700", "work@127.0.0.1"])
        .stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"GET /f HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let output = support::within(child.wait_with_output()).await.unwrap();
    drop(stdin);
    assert!(
        text(&output.stdout).ends_with("inside\n"),
        "{}",
        text(&output.stdout)
    );

    let mut command = door.command("ssh");
    command.args([
        "-R",
        &format!("9911:127.0.0.1:{host_port}"),
        "work@127.0.0.1",
        "head -c 12 < /dev/tcp/127.0.0.1/9911",
    ]);
    let output = support::within(command.output()).await.unwrap();
    assert_eq!(
        text(&output.stdout),
        "from outside",
        "{}",
        text(&output.stderr)
    );
    world.close().await;
}

/// A program and the libraries that it needs, at the same places below `root`.
fn copy_program(root: &std::path::Path, program: &str) {
    let needed = std::process::Command::new("ldd")
        .arg(program)
        .output()
        .unwrap();
    let needed = text(&needed.stdout);
    let libraries = needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        let target = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

#[tokio::test]
async fn an_unpacked_image_is_a_session_without_the_hosts_programs() {
    let world = World::new();
    let image = world.folder("image");
    std::fs::set_permissions(&image, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for program in ["/bin/bash", "/usr/bin/id"] {
        copy_program(&image, program);
    }
    let root = image.clone();
    let kernel = world
        .start(|spec| spec.image = runtime::ImageRoot::Directory(root))
        .await;
    let ran = sh(
        &*kernel,
        "/usr/bin/id -un; echo /usr/bin/*; echo x > /etc/new; echo $HOME > note; echo $(< note)",
    )
    .await;
    assert_eq!(
        ran.stdout, "work\n/usr/bin/id\n/home/work\n",
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("Read-only"), "{}", ran.stderr);
    let door = SshDoor::open(kernel.clone()).await;
    assert_eq!(text(&door.ssh(&["echo here"]).await.stdout), "here\n");
    world.close().await;
}
