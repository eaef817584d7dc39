use std::os::unix::fs::PermissionsExt;

use super::*;

/// A computer of files, on which everything is as it should be.
struct Fake {
    dir: tempfile::TempDir,
    host: Host,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let host = Host {
            proc: at("proc"),
            tun: at("tun"),
            bubblewrap: Some(at("bwrap")),
            pasta: Some(at("pasta")),
            runner: at("runner"),
            data_dir: at("data/engine"),
            owner: None,
            several: Ok(()),
        };
        let fake = Self { dir, host };
        fake.write("tun", "");
        fake.write(
            "proc/net/route",
            "Iface\tDestination\nlo\t0000007F\neth0\t00000000\n",
        );
        fake.program(
            "bwrap",
            "echo 'bubblewrap 0.11.0'; echo '--bind-fd FD DEST'",
        );
        fake.program("pasta", "echo 'pasta 2025'");
        fake.runner(&ProbeAnswer::default());
        fake
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        self.write(name, &format!("#!/bin/sh\n{script}\n"));
        let path = self.dir.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn runner(&self, answer: &ProbeAnswer) {
        let text = serde_json::to_string(answer).unwrap();
        self.program("runner", &format!("cat >/dev/null; echo '{text}'"));
    }

    async fn look(&self, name: &str) -> Finding {
        let findings = probe(&self.host).await;
        findings
            .into_iter()
            .find(|finding| finding.name == name)
            .unwrap()
    }

    async fn fix_for_namespaces(&self, reason: &str) -> String {
        self.runner(&ProbeAnswer {
            namespaces: Some(reason.to_owned()),
            bubblewrap: Some("not tried".to_owned()),
        });
        let found = self.look("namespaces").await;
        assert_eq!(found.grade, Grade::Failed);
        assert!(found.detail.contains(reason), "{found:?}");
        found.fix.unwrap()
    }
}

#[tokio::test]
async fn a_computer_that_has_everything() {
    let fake = Fake::new();
    for finding in probe(&fake.host).await {
        let advisory = finding.name == "limits" || finding.name == "disk";
        assert!(finding.grade == Grade::Ok || advisory, "{finding:?}");
        assert!(!finding.detail.is_empty());
        assert_eq!(finding.fix.is_some(), finding.grade != Grade::Ok);
    }
    assert!(
        fake.look("bubblewrap")
            .await
            .detail
            .contains("bubblewrap 0.11.0")
    );
}

#[tokio::test]
async fn a_user_without_ids_is_told_how_to_get_some() {
    let mut fake = Fake::new();
    fake.host.several = Err("there are none".to_owned());
    let found = fake.look("owners").await;
    assert_eq!(found.grade, Grade::Warning);
    assert!(found.detail.contains("there are none"), "{found:?}");
    let fix = found.fix.unwrap();
    assert!(fix.contains("uidmap") && fix.contains("--add-subuids"));
}

#[tokio::test]
async fn ubuntu_restricts_namespaces_by_apparmor() {
    let fake = Fake::new();
    fake.write(
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1\n",
    );
    let fix = fake
        .fix_for_namespaces("map the user: Permission denied")
        .await;
    for part in [
        "AppArmor",
        "Ubuntu",
        "/etc/apparmor.d/gangway-runner",
        &fake.host.runner.display().to_string(),
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        "/etc/sysctl.d/60-gangway.conf",
    ] {
        assert!(fix.contains(part), "{part} is not in {fix}");
    }
}

#[tokio::test]
async fn other_ways_to_forbid_namespaces() {
    let fake = Fake::new();
    let fix = fake.fix_for_namespaces("Operation not permitted").await;
    assert!(
        fix.contains("container") && fix.contains("SELinux"),
        "{fix}"
    );
    fake.write("proc/sys/user/max_user_namespaces", "0\n");
    let fix = fake.fix_for_namespaces("No space left on device").await;
    assert!(
        fix.contains("sysctl -w user.max_user_namespaces=15000"),
        "{fix}"
    );
    fake.write("proc/sys/kernel/unprivileged_userns_clone", "0\n");
    let fix = fake.fix_for_namespaces("Operation not permitted").await;
    assert!(
        fix.contains("sysctl -w kernel.unprivileged_userns_clone=1"),
        "{fix}"
    );
    fake.program("runner", "echo broken >&2; exit 3");
    let found = fake.look("namespaces").await;
    assert_eq!(found.grade, Grade::Failed);
    assert!(found.detail.contains("broken"), "{found:?}");
}

/// Whatever comes first, its end or our question.
#[tokio::test]
async fn a_runner_that_ends_without_reading_says_why() {
    let mut fake = Fake::new();
    fake.program("runner", "echo broken >&2; exit 3");
    // A question that no pipe holds: it is certainly not read.
    fake.host.bubblewrap = Some("/long".repeat(1 << 16).into());
    let found = fake.look("namespaces").await;
    assert_eq!(found.grade, Grade::Failed);
    assert!(found.detail.contains("(broken)"), "{found:?}");
}

#[tokio::test]
async fn programs_that_are_missing_or_old() {
    let mut fake = Fake::new();
    fake.program("bwrap", "echo 'bubblewrap 0.6.0'");
    let found = fake.look("bubblewrap").await;
    assert_eq!(found.grade, Grade::Warning);
    assert!(
        found.detail.contains("0.6.0") && found.detail.contains("--bind-fd"),
        "{found:?}"
    );
    fake.host.bubblewrap = None;
    fake.host.pasta = None;
    let found = fake.look("bubblewrap").await;
    assert_eq!(found.grade, Grade::Failed);
    assert_eq!(found.fix.as_deref(), Some("install the package bubblewrap"));
    let found = fake.look("pasta").await;
    assert_eq!(found.grade, Grade::Warning);
    assert_eq!(found.fix.as_deref(), Some("install the package passt"));
}

#[tokio::test]
async fn a_computer_without_a_network() {
    let fake = Fake::new();
    fake.write("proc/net/route", "Iface\tDestination\nlo\t0000007F\n");
    fs::remove_file(&fake.host.tun).unwrap();
    let found = fake.look("route").await;
    assert_eq!(found.grade, Grade::Warning);
    assert!(found.fix.unwrap().contains("ip route"));
    let found = fake.look("tun").await;
    assert_eq!(found.grade, Grade::Warning);
    assert!(found.fix.unwrap().contains("modprobe tun"));
}

#[tokio::test]
async fn control_groups_of_either_version() {
    let fake = Fake::new();
    let found = fake.look("limits").await;
    assert_eq!(found.grade, Grade::Warning);
    assert!(found.detail.contains("memory, CPU, process count"));
    assert!(found.fix.unwrap().contains("Delegate="));

    let mount = fake.dir.path().join("cgroup");
    let line = format!("cgroup2 {} cgroup2 rw 0 0\n", mount.display());
    fake.write("proc/self/mounts", &line);
    fake.write("proc/self/cgroup", "0::/user.slice/app.scope\n");
    fake.write("cgroup/user.slice/app.scope/cgroup.procs", "");
    let found = fake.look("limits").await;
    assert!(
        found.grade == Grade::Warning && found.detail.contains("v2"),
        "{found:?}"
    );

    // Delegated: the controllers are shared out above us.
    fake.write(
        "cgroup/user.slice/cgroup.subtree_control",
        "cpu memory pids\n",
    );
    fs::create_dir_all(mount.join("user.slice/gangway")).unwrap();
    let found = fake.look("limits").await;
    assert!(
        found.grade == Grade::Ok && found.detail.contains("v2"),
        "{found:?}"
    );
}
