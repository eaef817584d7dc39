//! What other programs of this computer reach sessions by: names in the SSH configuration, the
//! user's own key, editors that work over SSH.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::{Computer, PATIENCE};
use tests::peer;
use tests::process::{eventually, run};

/// The system's `ssh` with nothing but the user's configuration.
fn ssh(computer: &Computer, host: &str, script: &str) -> Result<String> {
    // ssh looks into the home of the passwd file, and not into $HOME, so it has to be told.
    let mut command = computer.home().command("ssh");
    let config = computer.path(".ssh/config");
    command
        .stdin(Stdio::null())
        .arg("-F")
        .arg(&config)
        .args(["-o", "BatchMode=yes", host, script]);
    Ok(run(&mut command)?.trim_end().to_owned())
}

fn info(computer: &Computer, session: &str) -> Result<Value> {
    let request = json!({ "session": session }).to_string();
    computer.gangway(&["call", "ssh.info", &request])
}

/// A program of that name that only notes its arguments, one a line.
fn fake(computer: &Computer, name: &str) -> Result<()> {
    let path = computer.home().path("bin").join(name);
    let notes = computer.home().path(name);
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{0}.new' && mv '{0}.new' '{0}'\n",
        notes.display()
    );
    fs::write(&path, script)?;
    Ok(fs::set_permissions(
        &path,
        fs::Permissions::from_mode(0o755),
    )?)
}

fn noted(computer: &Computer, name: &str) -> Result<Vec<String>> {
    let notes = computer.home().path(name);
    let text = eventually(&format!("{name} to be started"), PATIENCE, || {
        Ok(fs::read_to_string(&notes).ok())
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Sessions of two managers, two of them with the same name.
#[test]
fn sessions_of_two_managers_have_names_of_their_own() -> Result<()> {
    let server = Computer::logged_in()?;
    let account = server.gangway(&["whoami"])?;
    let endpoint = account["endpoint"].as_str().context("endpoint")?;
    let keys = server.gangway(&["keypair", "show", "--secret"])?;
    server.launch("twin", &[])?;
    server.ok("twin", "echo far > who")?;

    let computer = Computer::logged_in()?;
    let near = computer.launch("twin", &[])?;
    computer.ok("twin", "echo near > who")?;
    computer.gangway(&["ssh-config", "install", "--yes"])?;
    let mut login = computer.command(&[
        "--json",
        "login",
        "--endpoint",
        endpoint,
        "--access-key",
        keys["access_key"].as_str().context("access key")?,
        "--secret-key-stdin",
        "--keychain",
        "file",
        "--as",
        "lab",
    ]);
    let secret_key = keys["secret_key"].as_str().context("secret key")?;
    let output = peer::with_line(&mut login, secret_key)?;
    ensure!(output.status.success(), "{output:?}");

    // The other manager is the one in use now; a launch there takes no name away.
    computer.launch("only-there", &[])?;
    ensure!(ssh(&computer, "twin", "cat who")? == "near");
    ensure!(ssh(&computer, "twin.lab", "cat who")? == "far");
    ssh(&computer, "only-there", "true")?;
    ssh(&computer, "only-there.lab", "true")?;
    let told = info(&computer, "twin")?;
    ensure!(
        told["host"] == "twin.lab" && told["command"] == "ssh twin.lab",
        "{told}"
    );
    // Back on this computer, the other one's names stay, and its own ends leave no trace.
    computer.gangway(&["profile", "use", "local"])?;
    ensure!(info(&computer, &near)?["host"] == "twin");
    computer.gangway(&["session", "rm", "--yes", "twin"])?;
    ensure!(ssh(&computer, "twin.lab", "cat who")? == "far");
    ensure!(
        ssh(&computer, "twin", "cat who")? == "far",
        "the name is free"
    );
    Ok(())
}

/// The key that the user has anyway, stored on the manager: every session made afterwards takes
/// it, from any program that knows nothing of ours.
#[test]
fn the_users_own_key_opens_new_sessions() -> Result<()> {
    let computer = Computer::logged_in()?;
    let key = computer.path("my-key");
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f"])
        .arg(&key))?;
    let request = json!({ "file": key }).to_string();
    let stored = computer.gangway(&["call", "ssh.keypair_use", &request])?;
    let public = fs::read_to_string(key.with_extension("pub"))?;
    let body = public.split(' ').nth(1).context("a public key")?;
    ensure!(stored.to_string().contains(body), "{stored}");
    computer.launch("mine", &[])?;
    computer.gangway(&["ssh-config", "install", "--yes"])?;
    info(&computer, "mine")?;
    // Only the path and the host key come from us; the key is the user's, and no other is tried.
    let config = computer.path(".ssh/config");
    let ours = fs::read_to_string(&config)?;
    let include = ours.split('"').nth(1).context("include")?;
    let own = fs::read_to_string(include)?
        .lines()
        .filter(|line| !line.contains("IdentityFile"))
        .collect::<Vec<_>>()
        .join("\n");
    let config = computer.path("own-config");
    fs::write(&config, own)?;
    let with_key = |key: &std::path::Path| {
        let mut command = computer.home().command("ssh");
        command
            .stdin(Stdio::null())
            .arg("-F")
            .arg(&config)
            .arg("-i")
            .arg(key)
            .args(["-o", "BatchMode=yes", "mine", "whoami"]);
        command
    };
    ensure!(run(&mut with_key(&key))? == "work\n");
    let other = computer.path("other-key");
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other))?;
    ensure!(run(&mut with_key(&other)).is_err(), "any key opens it");
    Ok(())
}

#[test]
fn an_editor_is_started_on_the_sessions_files() -> Result<()> {
    let computer = Computer::logged_in()?;
    fake(&computer, "code")?;
    let session = computer.launch("edited", &[])?;
    let request = json!({ "session": session }).to_string();
    let open = ["call", "host.open_vscode", &request];
    // It finds sessions through the configuration, which is the user's to allow.
    computer.refused(&open)?.is(4, "confirmation_needed")?;
    computer.gangway(&["ssh-config", "install", "--yes"])?;
    computer.gangway(&open)?;
    let words = noted(&computer, "code")?;
    let wanted = [
        "--folder-uri",
        "vscode-remote://ssh-remote+edited/home/work",
    ];
    ensure!(words == wanted, "{words:?}");

    // Any that is there can be chosen; one that is not says what to install.
    let chosen = |editor: &str| json!({ "session": session, "editor": editor }).to_string();
    let gateway = chosen("jetbrains-gateway");
    let refused = computer.refused(&["call", "host.open_editor", &gateway])?;
    let refused = refused.is(1, "program_missing")?;
    let hint = refused.error["hint"].as_str().unwrap_or_default();
    ensure!(hint.contains("JetBrains Toolbox"), "{hint}");
    let installed = |id: &str| -> Result<bool> {
        let list = computer.gangway(&["call", "ssh.editors", "{}"])?;
        let editors = list["editors"].as_array().context("editors")?;
        let editor = editors.iter().find(|it| it["id"] == id);
        Ok(editor.context("the editor")?["installed"] == true)
    };
    ensure!(installed("code")? && !installed("cursor")? && !installed("jetbrains-gateway")?);
    fake(&computer, "cursor")?;
    computer.gangway(&["call", "host.open_editor", &chosen("cursor")])?;
    ensure!(noted(&computer, "cursor")? == wanted);

    // JetBrains Gateway by its link: with the desktop's opener, or its own command.
    let link = [
        "jetbrains-gateway://connect#type=ssh&deploy=false&host=edited&port=22&user=work\
         &projectPath=%2Fhome%2Fwork",
    ];
    handler_of_links(&computer)?;
    ensure!(installed("jetbrains-gateway")?);
    computer.gangway(&["call", "host.open_editor", &gateway])?;
    ensure!(noted(&computer, "xdg-open")? == link);
    fake(&computer, "gateway")?;
    computer.gangway(&["call", "host.open_editor", &gateway])?;
    ensure!(noted(&computer, "gateway")? == link);
    Ok(())
}

/// A desktop on which some program has said that it takes the links of JetBrains Gateway.
fn handler_of_links(computer: &Computer) -> Result<()> {
    fake(computer, "xdg-open")?;
    let answer = "#!/bin/sh\n[ \"$*\" = 'query default x-scheme-handler/jetbrains-gateway' ] && \
                  echo jetbrains-gateway.desktop\n";
    let file = computer.home().path("bin/xdg-mime");
    fs::write(&file, answer)?;
    run(Command::new("chmod").arg("+x").arg(&file)).map(drop)
}

#[test]
fn our_part_goes_and_leaves_the_users_file_as_it_was() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("leaving", &[])?;
    let config = computer.path(".ssh/config");
    fs::create_dir_all(computer.path(".ssh"))?;
    // Line ends of another system, no end at the end, and a host whose options go on.
    let users = b"# mine\r\nHost build\r\n\tUser me\r\n\r\nHost *\n  ServerAliveInterval 30";
    fs::write(&config, users)?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640))?;
    for _ in 0..2 {
        computer.gangway(&["ssh-config", "install", "--yes"])?;
        ensure!(fs::read(&config)? != users);
        ensure!(ssh(&computer, "leaving", "whoami")? == "work");
        computer.gangway(&["ssh-config", "remove", "--yes"])?;
        ensure!(
            fs::read(&config)? == users,
            "{:?}",
            fs::read_to_string(&config)
        );
        let mode = fs::metadata(&config)?.permissions().mode() & 0o777;
        ensure!(mode == 0o640, "{mode:o}");
        ensure!(ssh(&computer, "leaving", "whoami").is_err(), "still known");
    }
    Ok(())
}
