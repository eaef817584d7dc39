//! Sessions as containers of a real Podman.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

#[path = "support/podman.rs"]
mod podman;
mod support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use podman::{IMAGE, Podman};
use runtime::{
    Cluster, Exit, ImageRoot, Kernel, KernelId, KernelSpec, Mount, NoticeCode,
    container::{ContainerConfig, Containers},
};
use support::{SshDoor, sh, text, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GRACE: Duration = Duration::from_secs(1);

struct World {
    dir: tempfile::TempDir,
    podman: Podman,
    containers: Containers,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("gwc").tempdir().unwrap();
        let podman = Podman::start();
        let containers = open(dir.path(), &podman);
        Self {
            dir,
            podman,
            containers,
        }
    }

    async fn start(&self, change: impl FnOnce(&mut KernelSpec)) -> Arc<dyn Kernel> {
        self.containers.start(&spec(change)).await.unwrap()
    }
}

fn open(dir: &Path, podman: &Podman) -> Containers {
    Containers::open(ContainerConfig {
        data_dir: dir.join("data"),
        run_dir: dir.join("run"),
        runner: support::runner(),
        socket: podman.socket(),
        environ: BTreeMap::new(),
        gpus: runtime::gpu::here(),
    })
    .unwrap()
}

fn spec(change: impl FnOnce(&mut KernelSpec)) -> KernelSpec {
    let mut spec = KernelSpec::minimal(KernelId::new_v4(), "test");
    spec.image = ImageRoot::Container(IMAGE.to_owned());
    spec.limits.mem = 128 << 20;
    change(&mut spec);
    spec
}

/// Ports of this computer that something listens on.
fn listening() -> Vec<String> {
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|name| {
            let text = fs::read_to_string(format!("/proc/net/{name}")).unwrap();
            text.lines()
                .map(|line| line.split_whitespace().map(str::to_owned).collect())
                .filter(|words: &Vec<String>| words.get(3).is_some_and(|state| state == "0A"))
                .map(|words| words[1].clone())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_container_is_a_session_like_any_other() {
    let world = World::new();
    let folder = world.dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    fs::write(folder.join("in"), "from outside").unwrap();
    let kernel = world
        .start(|spec| {
            spec.environ.insert("COLOR".to_owned(), "green".to_owned());
            spec.limits.pids = 64;
            spec.mounts.push(Mount {
                source: folder.clone(),
                target: "/home/work/data".into(),
                read_only: false,
            });
        })
        .await;
    let said = sh(
        &*kernel,
        "id -un; pwd; hostname; echo $COLOR $FROM_IMAGE; cat data/in; echo done > data/out; \
         id -u | wc -l; touch /usr/x || echo closed; cat /proc/1/status | wc -l > /dev/null",
    )
    .await;
    assert_eq!(
        said.stdout, "work\n/home/work\nmain1\ngreen yes\nfrom outside1\nclosed\n",
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "done\n");
    // What it may do, seen from inside.
    let status = sh(&*kernel, "cat /proc/self/status").await.stdout;
    for (name, value) in [("NoNewPrivs:", "1"), ("Seccomp:", "2"), ("CapEff:", "0")] {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let found = line[name.len()..].trim().trim_start_matches('0');
        assert_eq!(found, value.trim_start_matches('0'), "{line}");
    }

    // A port inside, and none outside that was not there.
    let before = listening();
    let server = "perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0);setsockopt(S,SOL_SOCKET,SO_REUSEADDR,1);\
         bind(S,sockaddr_in(8090,INADDR_LOOPBACK));listen(S,5);while(accept(C,S)){print C \"hello\";close C}'";
    sh(&*kernel, &format!("{server} >/dev/null 2>&1 &")).await;
    let answer = within(async {
        loop {
            if let Ok(mut stream) = kernel.connect(8090).await {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(answer, "hello");
    let published = world.podman.run(&["ps", "--format", "{{.Ports}}"]);
    assert_eq!(published, "");
    let ours = |place: &String| place.ends_with(":1F9A") && !before.contains(place);
    assert!(!listening().iter().any(ours));

    // Its SSH server, files, log, statistics.
    let door = SshDoor::open(kernel.clone()).await;
    let output = door.ssh(&["echo hello; exit 7"]).await;
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let mut file = kernel
        .open_file("note", runtime::OpenMode::Create)
        .await
        .unwrap();
    file.write_all(b"note").await.unwrap();
    file.flush().await.unwrap();
    let stats = kernel.stats().await.unwrap();
    assert_eq!(stats["mem"].capacity.as_deref(), Some("134217728"));
    let used: u64 = stats["mem"].current.parse().unwrap();
    assert!(used > 1 << 20, "{used}");

    // Limits.
    let killed = sh(&*kernel, "perl -e '$x = \"a\" x (1 << 29); print 1'").await;
    assert_ne!(killed.exit_code, 0);
    let notices = kernel.notices().await.unwrap();
    assert!(
        notices
            .iter()
            .any(|notice| notice.code == NoticeCode::OomKilled),
        "{notices:?}"
    );
    let many = sh(&*kernel, "for i in {1..100}; do sleep 5 & done; wait").await;
    assert!(many.stderr.contains("fork"), "{}", many.stderr);

    let exit = kernel.terminate(GRACE).await.unwrap();
    assert_eq!(exit, Exit::Terminated);
    assert_eq!(world.podman.containers(), Vec::<String>::new());
    assert_eq!(world.containers.exit(kernel.id()), Some(Exit::Terminated));
    world.containers.remove(kernel.id()).await.unwrap();
    assert!(!world.containers.has(kernel.id()));
}

#[tokio::test]
#[ignore = "long: cargo xtask test --full"]
async fn containers_outlive_the_engine_and_strangers_do_not() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let stranger = world.start(|_| {}).await.id();
    sh(&*kernel, "echo here > state").await;
    let id = kernel.id();
    drop(kernel);

    let later = open(world.dir.path(), &world.podman);
    assert_eq!(later.sweep(&[id]).await.unwrap().ended, [stranger]);
    let found = later.adopt(id).await.unwrap().expect("it still runs");
    assert_eq!(sh(&*found, "cat state").await.stdout, "here\n");
    assert_eq!(world.podman.containers(), [format!("gangway-{id}")]);

    // One whose directory is gone is known by its label.
    fs::remove_dir_all(
        world
            .dir
            .path()
            .join("data/containers")
            .join(id.to_string()),
    )
    .unwrap();
    assert_eq!(later.sweep(&[]).await.unwrap().ended, [id]);
    assert_eq!(world.podman.containers(), Vec::<String>::new());
    within(found.wait()).await;
}

#[tokio::test]
#[ignore = "long: cargo xtask test --full"]
async fn whoever_ends_a_container_is_noticed() {
    let world = World::new();
    let kernel = world.start(|_| {}).await;
    let name = format!("gangway-{}", kernel.id());
    world.podman.run(&["kill", &name]);
    let Exit::Lost { reason } = within(kernel.wait()).await else {
        panic!("nobody told it to end");
    };
    assert!(reason.contains("killed"), "{reason}");
    // The home is still there for whoever wants to save it.
    assert!(world.containers.adopt(kernel.id()).await.unwrap().is_none());
    assert!(world.containers.has(kernel.id()));

    // While no engine looks.
    let kernel = world.start(|_| {}).await;
    let id = kernel.id();
    drop(kernel);
    world
        .podman
        .run(&["rm", "--force", "--time", "0", &format!("gangway-{id}")]);
    let later = open(world.dir.path(), &world.podman);
    assert!(later.adopt(id).await.unwrap().is_none());
    assert!(matches!(later.exit(id), Some(Exit::Lost { .. })));
}

#[tokio::test]
#[ignore = "long: cargo xtask test --full"]
async fn what_can_not_start_leaves_nothing() {
    let world = World::new();
    let missing = spec(|spec| spec.image = ImageRoot::Container("localhost/none:1".to_owned()));
    let error = world.containers.start(&missing).await.err().unwrap();
    let shown = format!("{error}: {:?}", std::error::Error::source(&error));
    assert!(shown.contains("localhost/none:1"), "{shown}");
    // A link on the way to a folder: the container engine would follow it.
    let secret = world.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    std::os::unix::fs::symlink(&secret, world.dir.path().join("link")).unwrap();
    fs::create_dir(secret.join("deep")).unwrap();
    let linked = spec(|spec| {
        spec.mounts.push(Mount {
            source: world.dir.path().join("link/deep"),
            target: "/home/work/data".into(),
            read_only: false,
        });
    });
    let error = world.containers.start(&linked).await.err().unwrap();
    assert!(error.to_string().contains("can't be mounted"), "{error}");
    for id in [missing.kernel_id, linked.kernel_id] {
        assert!(!world.containers.has(id));
    }
    assert_eq!(world.podman.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn kernels_of_a_session_reach_each_other() {
    let world = World::new();
    let networks = world.podman.run(&["network", "ls", "--quiet"]);
    let session = KernelId::new_v4();
    let ids = [KernelId::new_v4(), KernelId::new_v4()];
    let mut kernels = Vec::new();
    for (rank, id) in (0..).zip(ids) {
        let hosts = vec!["main1".to_owned(), "sub1".to_owned()];
        let kernel = world
            .start(|spec| {
                spec.kernel_id = id;
                spec.session_id = session;
                spec.hostname = hosts[rank as usize].clone();
                spec.cluster = Some(Cluster {
                    main: ids[0],
                    rank,
                    hosts,
                    key: [7; 32],
                });
            })
            .await;
        kernels.push(kernel);
    }
    for (kernel, other) in [(&kernels[0], "sub1"), (&kernels[1], "main1")] {
        let said = sh(&**kernel, &format!("ssh {other} hostname")).await;
        assert_eq!(said.stdout.trim(), other, "{}", said.stderr);
    }
    for kernel in &kernels {
        kernel.terminate(GRACE).await.unwrap();
        world.containers.remove(kernel.id()).await.unwrap();
    }
    assert_eq!(world.podman.run(&["network", "ls", "--quiet"]), networks);
}
