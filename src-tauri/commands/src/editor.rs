//! Editors of this computer that work inside a session, over its SSH server.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use url::form_urlencoded;

use crate::context::Context;
use crate::system::on_path;
use crate::types::{Editor, EditorList, Failure, FailureCode, Nothing, OpenEditor, SessionRef};

/// How an editor is told where to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `--folder-uri vscode-remote://ssh-remote+HOST/…`: Visual Studio Code and what came of it.
    Code,
    /// A link that JetBrains Gateway has registered.
    Gateway,
}

struct Known {
    id: &'static str,
    title: &'static str,
    family: Family,
    /// Its commands, in the order in which they are looked for.
    programs: &'static [&'static str],
}

const fn code(id: &'static str, title: &'static str, programs: &'static [&'static str]) -> Known {
    Known {
        id,
        title,
        family: Family::Code,
        programs,
    }
}

/// In the order of how likely they are wanted.
const EDITORS: [Known; 7] = [
    code("code", "VS Code", &["code"]),
    code("codium", "VSCodium", &["codium"]),
    code("code-insiders", "VS Code Insiders", &["code-insiders"]),
    code("cursor", "Cursor", &["cursor"]),
    code("windsurf", "Windsurf", &["windsurf"]),
    code("code-oss", "Code - OSS", &["code-oss"]),
    Known {
        id: "jetbrains-gateway",
        title: "JetBrains Gateway",
        family: Family::Gateway,
        programs: &["jetbrains-gateway", "gateway"],
    },
];
/// The scheme of JetBrains Gateway's links.
const GATEWAY: &str = "jetbrains-gateway";
/// Where JetBrains Toolbox puts commands, below the data folder of the user.
const TOOLBOX: &str = "JetBrains/Toolbox/scripts";
/// Where a session's own files lie.
const HOME: &str = "/home/work";

impl Known {
    /// What starts it, with the arguments that go before all others.
    fn found(&self) -> Option<Vec<PathBuf>> {
        let there = self.programs.iter().find_map(|name| on_path(name));
        if let Some(program) = there {
            return Some(vec![program]);
        }
        match self.family {
            Family::Code => None,
            Family::Gateway => self.in_toolbox().or_else(by_link),
        }
    }

    fn in_toolbox(&self) -> Option<Vec<PathBuf>> {
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
        let named = self
            .programs
            .iter()
            .map(|name| data.join(TOOLBOX).join(name));
        named
            .into_iter()
            .find(|file| file.is_file())
            .map(|it| vec![it])
    }

    /// Where it is to work.
    fn arguments(&self, host: &str, user: &str) -> Vec<String> {
        match self.family {
            Family::Code => vec![
                "--folder-uri".to_owned(),
                format!("vscode-remote://ssh-remote+{host}{HOME}"),
            ],
            Family::Gateway => {
                let place = form_urlencoded::Serializer::new(String::new())
                    .append_pair("type", "ssh")
                    .append_pair("deploy", "false")
                    .append_pair("host", host)
                    .append_pair("port", "22")
                    .append_pair("user", user)
                    .append_pair("projectPath", HOME)
                    .finish();
                vec![format!("{GATEWAY}://connect#{place}")]
            }
        }
    }
}

/// The desktop's own way to open a link, where some program has said that it takes these.
fn by_link() -> Option<Vec<PathBuf>> {
    let opener = on_path("xdg-open")?;
    let asked = Command::new(on_path("xdg-mime")?)
        .args(["query", "default", &format!("x-scheme-handler/{GATEWAY}")])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let handler = String::from_utf8_lossy(&asked.stdout);
    (!handler.trim().is_empty()).then(|| vec![opener])
}

pub(crate) async fn list(_: &Context, _: Nothing) -> Result<EditorList, Failure> {
    let editors = EDITORS.iter().map(|known| Editor {
        id: known.id.to_owned(),
        title: known.title.to_owned(),
        installed: known.found().is_some(),
    });
    Ok(EditorList {
        editors: editors.collect(),
    })
}

/// Opens the editor of the first family that is there.
pub(crate) async fn open(context: &Context, request: SessionRef) -> Result<Nothing, Failure> {
    let mut family = EDITORS.iter().filter(|known| known.family == Family::Code);
    let found = family.find_map(|known| Some((known, known.found()?)));
    let Some((known, command)) = found else {
        let message = "Visual Studio Code was not found on this computer";
        return Err(Failure::new(FailureCode::ProgramMissing, message)
            .hint("install it, with its command `code`"));
    };
    start(context, request, known, &command).await
}

pub(crate) async fn open_in(context: &Context, request: OpenEditor) -> Result<Nothing, Failure> {
    let known = EDITORS.iter().find(|known| known.id == request.editor);
    let known = known.ok_or_else(|| {
        let ids: Vec<&str> = EDITORS.iter().map(|known| known.id).collect();
        let message = format!("there is no editor \"{}\"", request.editor);
        Failure::new(FailureCode::InvalidInput, message)
            .hint(format!("known are {}", ids.join(", ")))
    })?;
    let command = known.found().ok_or_else(|| {
        let message = format!("{} was not found on this computer", known.title);
        let hint = match known.family {
            Family::Code => format!("install it, with its command `{}`", known.id),
            Family::Gateway => "install it with JetBrains Toolbox, which makes the command \
                                `gateway` and opens its links"
                .to_owned(),
        };
        Failure::new(FailureCode::ProgramMissing, message).hint(hint)
    })?;
    let session = request.session;
    start(context, SessionRef { session }, known, &command).await
}

async fn start(
    context: &Context,
    request: SessionRef,
    known: &Known,
    command: &[PathBuf],
) -> Result<Nothing, Failure> {
    if !crate::ssh::is_installed(context)? {
        let message = "the editor finds sessions through the SSH configuration";
        return Err(Failure::new(FailureCode::ConfirmationNeeded, message)
            .hint("install it first: `gangway ssh-config install`"));
    }
    let info = crate::ssh::info(context, request).await?;
    let [program, first @ ..] = command else {
        return Err(Failure::new(FailureCode::ProgramMissing, known.title));
    };
    let mut child = Command::new(program)
        .args(first)
        .args(known.arguments(&info.host, &info.user))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            let message = format!("{}: {error}", program.display());
            Failure::new(FailureCode::ProgramMissing, message)
        })?;
    // Somebody has to take note of its end.
    std::thread::spawn(move || child.wait());
    Ok(Nothing {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_told_where_to_work() {
        let arguments = |id: &str| {
            let known = EDITORS.iter().find(|known| known.id == id).unwrap();
            known.arguments("lab-1", "work")
        };
        assert_eq!(
            arguments("cursor"),
            ["--folder-uri", "vscode-remote://ssh-remote+lab-1/home/work"]
        );
        assert_eq!(
            arguments("jetbrains-gateway"),
            [
                "jetbrains-gateway://connect#type=ssh&deploy=false&host=lab-1&port=22&user=work&projectPath=%2Fhome%2Fwork"
            ]
        );
    }
}
