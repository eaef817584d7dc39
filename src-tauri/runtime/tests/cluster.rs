//! Several kernels of one session in sandboxes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on stops where it is"
)]

mod support;

use std::{sync::Arc, time::Duration};

use runtime::{Cluster, Kernel, KernelId, Runtime};
use support::{World, sh, within};

async fn cluster(world: &World, size: usize, key: [u8; 32]) -> Vec<Arc<dyn Kernel>> {
    let hosts: Vec<String> = (0..size)
        .map(|rank| match rank {
            0 => "main1".to_owned(),
            sub => format!("sub{sub}"),
        })
        .collect();
    let main = KernelId::new_v4();
    let mut kernels = Vec::new();
    for (rank, hostname) in hosts.iter().enumerate() {
        let kernel = world
            .start(|spec| {
                if rank == 0 {
                    spec.kernel_id = main;
                }
                spec.session_id = main;
                spec.hostname.clone_from(hostname);
                spec.cluster = Some(Cluster {
                    main,
                    rank: u32::try_from(rank).unwrap(),
                    hosts: hosts.clone(),
                    key,
                });
            })
            .await;
        kernels.push(kernel);
    }
    kernels
}

#[tokio::test]
async fn kernels_log_in_at_each_other_without_a_password() {
    let world = World::new();
    let kernels = cluster(&world, 3, [1; 32]).await;
    let said = sh(
        &*kernels[0],
        "for host in main1 sub1 sub2; do ssh $host 'hostname; id -un'; done",
    )
    .await;
    assert_eq!(
        said.stdout, "main1\nwork\nsub1\nwork\nsub2\nwork\n",
        "{}",
        said.stderr
    );
    // From one of the others to another, and back.
    let said = sh(&*kernels[2], "ssh sub1 ssh main1 hostname").await;
    assert_eq!(said.stdout, "main1\n", "{}", said.stderr);

    // Each has all ports for itself, and reaches those of the others.
    let serve = "import socket,os; s=socket.create_server((\"0.0.0.0\",29500)); open(\"up\",\"w\").close()\n\
                 while True: c,_=s.accept(); c.sendall(os.uname().nodename.encode()); c.close()";
    for kernel in &kernels {
        let line = format!(
            "setsid python3 -c '{serve}' >/dev/null 2>&1 & until [ -e up ]; do sleep 0.05; done"
        );
        assert_eq!(within(sh(&**kernel, &line)).await.exit_code, 0);
    }
    let ask = "import socket\nfor h in (\"main1\",\"sub1\",\"sub2\"): print(socket.create_connection((h,29500)).recv(99).decode())";
    let said = sh(&*kernels[1], &format!("python3 -c '{ask}'")).await;
    assert_eq!(said.stdout, "main1\nsub1\nsub2\n", "{}", said.stderr);
    world.close().await;
}

#[tokio::test]
async fn clusters_do_not_see_each_other() {
    let world = World::new();
    let one = cluster(&world, 2, [1; 32]).await;
    let other = cluster(&world, 2, [2; 32]).await;
    sh(&*one[1], "echo one > mark").await;
    let said = sh(&*other[0], "ssh sub1 'cat mark 2>/dev/null || echo none'").await;
    assert_eq!(said.stdout, "none\n", "{}", said.stderr);
    // A process of one kernel is not to be seen in another, though they share a network.
    sh(&*one[0], "setsid sleep 4321 >/dev/null 2>&1 &").await;
    let said = sh(&*one[1], "grep -lsz ^4321 /proc/[0-9]*/cmdline | wc -l").await;
    assert_eq!(said.stdout, "0\n", "{}", said.stderr);
    world.close().await;
}

#[tokio::test]
async fn a_kernel_can_not_join_a_cluster_whose_main_one_is_gone() {
    let world = World::new();
    let kernels = cluster(&world, 1, [1; 32]).await;
    let main = kernels[0].id();
    kernels[0].terminate(Duration::ZERO).await.unwrap();
    let mut spec = runtime::KernelSpec::minimal(KernelId::new_v4(), "test");
    spec.cluster = Some(Cluster {
        main,
        rank: 1,
        hosts: vec!["main1".to_owned(), "sub1".to_owned()],
        key: [1; 32],
    });
    assert!(world.sandbox.start(spec).await.is_err());
    world.close().await;
}
