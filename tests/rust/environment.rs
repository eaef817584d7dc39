//! Python environments of the user's home in a session: seen by consent, and nothing else is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::computer::{Computer, rows};
use tests::process::run;

/// A virtual environment with a module of its own.
fn environment(at: &Path) -> Result<()> {
    run(Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(at))?;
    let library = fs::read_dir(at.join("lib"))?
        .next()
        .context("the environment has no library")??;
    let module = library.path().join("site-packages/of_this_computer.py");
    fs::write(module, "answer = 42\n")?;
    Ok(())
}

struct World {
    computer: Computer,
    home: PathBuf,
    paper: PathBuf,
}

impl World {
    fn new() -> Result<Self> {
        let computer = Computer::logged_in()?;
        let home = computer.home().path("home").canonicalize()?;
        let paper = home.join(".virtualenvs/paper");
        environment(&paper)?;
        environment(&home.join(".virtualenvs/other"))?;
        fs::write(home.join("private.txt"), "nobody's business")?;
        Ok(Self {
            computer,
            home,
            paper,
        })
    }

    /// Whether the session computes with the environment, and sees nothing else of the home.
    fn shown_in(&self, session: &str) -> Result<()> {
        let computer = &self.computer;
        let program = "import of_this_computer, sys; print(of_this_computer.answer, sys.prefix)";
        let said = computer.ok(session, &format!("python -c '{program}'"))?;
        ensure!(said == format!("42 {}", self.paper.display()), "{said}");
        let wrote = computer.sh(session, &format!("touch {}/mine", self.paper.display()))?;
        ensure!(wrote.status != 0, "the environment can be written to");
        let all = computer.ok(
            session,
            &format!("find {} -maxdepth 2", self.home.display()),
        )?;
        let mut all: Vec<&str> = all.lines().collect();
        all.sort_unstable();
        let home = self.home.display();
        ensure!(
            all == [
                format!("{home}"),
                format!("{home}/.virtualenvs"),
                format!("{home}/.virtualenvs/paper")
            ],
            "the session sees {all:?}"
        );
        Ok(())
    }
}

#[test]
fn an_environment_is_read_by_consent() -> Result<()> {
    let world = World::new()?;
    let computer = &world.computer;
    let found = computer.gangway(&["call", "environment.list"])?;
    let paper = world.paper.to_string_lossy().into_owned();
    let row = rows(&found, "environments")?
        .iter()
        .find(|row| row["path"] == json!(paper))
        .with_context(|| format!("not found: {found}"))?;
    ensure!(
        row["kind"] == "venv"
            && row["python"]
                .as_str()
                .is_some_and(|it| it.starts_with("3.")),
        "{row}"
    );

    computer.launch("without", &[])?;
    let seen = computer.sh("without", &format!("ls {}", world.home.display()))?;
    ensure!(
        seen.status != 0,
        "without consent the session sees {seen:?}"
    );

    computer.launch("with-paper", &["--environment", &paper])?;
    world.shown_in("with-paper")?;
    // The session's own programs still come first.
    let path = computer.ok("with-paper", "echo $PATH")?;
    ensure!(
        path.starts_with(&format!("/home/work/.local/bin:{paper}/bin:")),
        "{path}"
    );

    // Remembered with the launch, and given again.
    let launches = computer.gangway(&["history", "ls"])?;
    let launch = rows(&launches, "launches")?
        .iter()
        .find(|launch| launch["request"]["environments"] == json!([paper]))
        .with_context(|| format!("not remembered: {launches}"))?;
    computer.gangway(&["session", "rm", "--yes", "with-paper"])?;
    let id = launch["id"].as_str().context("id")?;
    let again = computer.gangway(&["history", "relaunch", id])?;
    world.shown_in(again["id"].as_str().context("id")?)
}

#[test]
fn what_is_no_environment_of_the_home_is_refused() -> Result<()> {
    let world = World::new()?;
    let computer = &world.computer;
    let outside = computer.home().path("outside");
    environment(&outside)?;
    symlink(&outside, world.home.join(".virtualenvs/link"))?;
    fs::create_dir(world.home.join(".ssh"))?;
    for bad in [
        outside.clone(),
        world.home.clone(),
        world.home.join(".ssh"),
        world.home.join(".virtualenvs/link"),
        world.home.join(".virtualenvs/none"),
        world.home.join(".virtualenvs/paper/../../../outside"),
        PathBuf::from("/etc"),
    ] {
        let path = bad.to_string_lossy();
        let refused = computer.refused(&["session", "launch", "nope", "--environment", &path])?;
        ensure!(
            refused.error.to_string().contains("host_environments"),
            "{path}: {}",
            refused.error
        );
    }
    let sessions = computer.gangway(&["session", "ls", "--all"])?;
    ensure!(rows(&sessions, "sessions")?.is_empty(), "{sessions}");
    // A place that the settings name is allowed.
    let config = computer.home().path("gangway/config/config.toml");
    let text = fs::read_to_string(&config)?;
    let place = computer.home().path("");
    fs::write(
        &config,
        format!("environment_places = [\"{}\"]\n{text}", place.display()),
    )?;
    let outside = outside.to_string_lossy();
    computer.launch("from-a-place", &["--environment", &outside])?;
    ensure!(computer.ok("from-a-place", "command -v python")? == format!("{outside}/bin/python"));
    Ok(())
}
