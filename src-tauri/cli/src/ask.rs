//! Questions. Only a terminal is asked; elsewhere what is needed has to be given beforehand.

use std::io::{BufRead, IsTerminal, Write};

use commands::types::{Failure, FailureCode};
use serde_json::Value;

use crate::Program;

/// Asks before something is lost. Where nobody can be asked, the failure says what would be.
pub(crate) fn confirm(program: &Program, question: &str, lost: Value) -> Result<(), Failure> {
    if program.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || program.output.json {
        let message = format!("not confirmed: {question}");
        let failure = Failure::new(FailureCode::ConfirmationNeeded, message);
        return Err(failure.hint("answer with --yes").details(lost));
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new(FailureCode::Cancelled, "nothing was done")),
    }
}

/// Asks for the passphrase of the encrypted file, twice when it is a new one.
pub(crate) fn passphrase(new: bool) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            FailureCode::PassphraseNeeded,
            "the encrypted file needs its passphrase",
        )
        .hint(
            "run it on a terminal, or name a file that holds the passphrase in \
             GANGWAY_PASSPHRASE_FILE",
        ));
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map_err(|error| Failure::new(FailureCode::PassphraseNeeded, error))
    };
    let first = ask("Passphrase: ")?;
    if first.is_empty() {
        return Err(Failure::new(
            FailureCode::PassphraseNeeded,
            "the passphrase is empty",
        ));
    }
    if new && ask("The same again: ")? != first {
        return Err(Failure::new(
            FailureCode::PassphraseWrong,
            "the two are not the same",
        ));
    }
    Ok(first)
}

/// Whether somebody sits before a terminal.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal()
}

/// A secret that is never an argument: the first line of standard input, or asked for.
pub(crate) fn secret(prompt: &str, from_stdin: bool) -> Result<String, Failure> {
    let bad = |error: std::io::Error| Failure::new(FailureCode::InvalidInput, error);
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(bad)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !can_ask() {
        let message = "there is no terminal on which to ask for the secret";
        return Err(Failure::new(FailureCode::InvalidInput, message)
            .hint("give it by --password-stdin or --secret-key-stdin"));
    }
    rpassword::prompt_password(prompt).map_err(bad)
}
