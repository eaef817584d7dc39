//! `gangway login`, `logout`, `whoami`, `profile`, `keypair`.

use clap::{Args, Subcommand, ValueEnum};
use commands::types::{
    Account, Failure, FailureCode, KeychainKind, Keypair, KeypairShow, LoginLocal, LoginRemote,
    LoginWith, Nothing, ProfileList, ProfileRef,
};

use crate::Program;
use crate::ask;
use crate::certificate;
use crate::output::{grid, pairs};

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Address of another manager or its web server; without it, this computer
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Domain, where the manager itself asks for it
    #[arg(long, requires = "endpoint")]
    domain: Option<String>,
    /// Log in by password, as this user (e-mail address or user name)
    #[arg(long, requires = "endpoint", conflicts_with = "access_key")]
    email: Option<String>,
    /// Read the password from standard input instead of asking for it
    #[arg(long, requires = "email")]
    password_stdin: bool,
    /// Read a new password, for one that has expired, from the next line of standard input
    #[arg(long, requires = "password_stdin")]
    new_password_stdin: bool,
    /// One-time password
    #[arg(long, value_name = "NUMBER", requires = "email")]
    otp: Option<String>,
    /// End an older login of the account when there are too many
    #[arg(long, requires = "email")]
    force: bool,
    /// Log in with this keypair; the secret key is asked for
    #[arg(long, value_name = "KEY", requires = "endpoint")]
    access_key: Option<String>,
    /// Read the secret key from standard input instead of asking for it
    #[arg(long, requires = "access_key")]
    secret_key_stdin: bool,
    /// Trust the manager's certificate although nobody vouches for it; compare the SHA-256 with what
    /// its administrator says
    #[arg(long, value_name = "SHA256", requires = "endpoint")]
    trust_certificate: Option<String>,
    /// Name of the profile (by default the manager's host)
    #[arg(long = "as", value_name = "PROFILE", requires = "endpoint")]
    name: Option<String>,
    /// Where to keep the secret key (remembered with the profile)
    #[arg(long, value_enum)]
    keychain: Option<Keychain>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keychain {
    /// The operating system's keychain
    System,
    /// An encrypted file, opened by a passphrase
    File,
    /// Nowhere: it is asked for again
    Memory,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileVerb {
    /// List them
    Ls,
    /// Use another one from now on
    Use {
        /// Its name
        name: String,
    },
    /// Forget one and its keys
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeypairVerb {
    /// Show it
    Show {
        /// Also the secret key
        #[arg(long)]
        secret: bool,
    },
}

impl LoginArgs {
    fn keychain(&self) -> Option<KeychainKind> {
        self.keychain.map(|kind| match kind {
            Keychain::System => KeychainKind::System,
            Keychain::File => KeychainKind::File,
            Keychain::Memory => KeychainKind::Memory,
        })
    }

    /// The one from now on, for a password that has expired.
    fn new_password(&self, expired: Failure) -> Result<String, Failure> {
        if self.new_password_stdin {
            return ask::secret("New password: ", true);
        }
        if !ask::can_ask() {
            return Err(expired);
        }
        eprintln!(
            "The password has expired. A new one has 8 characters or more, with a letter, a digit \
             and a symbol."
        );
        let new = ask::secret("New password: ", false)?;
        match ask::secret("The same again: ", false)? == new {
            true => Ok(new),
            false => Err(Failure::new(
                FailureCode::InvalidInput,
                "the two passwords are not the same",
            )),
        }
    }

    fn with(&self, otp: Option<String>) -> Result<LoginWith, Failure> {
        if let Some(access_key) = &self.access_key {
            return Ok(LoginWith::Keypair {
                access_key: access_key.clone(),
                secret_key: ask::secret("Secret key: ", self.secret_key_stdin)?,
            });
        }
        let username = self.email.clone().ok_or_else(|| {
            Failure::new(FailureCode::InvalidInput, "who wants to log in?")
                .hint("give --email, or --access-key")
        })?;
        Ok(LoginWith::Password {
            username,
            password: ask::secret("Password: ", self.password_stdin)?,
            otp,
            domain: self.domain.clone(),
            force: self.force,
            new_password: None,
        })
    }
}

pub(crate) async fn login(program: &Program, args: LoginArgs) -> Result<(), Failure> {
    let account = match args.endpoint.clone() {
        Some(address) => {
            if let Some(fingerprint) = &args.trust_certificate {
                certificate::trust(program, &address, fingerprint).await?;
            }
            match login_remote(program, &args, address.clone()).await {
                Err(failure) if failure.code == FailureCode::CertificateUntrusted => {
                    return Err(certificate::explain(program, &address, failure).await);
                }
                answer => answer?,
            }
        }
        None => login_local(program, &args).await?,
    };
    program.output.answer(&account, |account| {
        let place = match account.profile.as_str() {
            "local" => "this computer",
            profile => profile,
        };
        format!(
            "Logged in as {} on {place} ({}).",
            account.email, account.endpoint
        )
    });
    Ok(())
}

async fn login_local(program: &Program, args: &LoginArgs) -> Result<Account, Failure> {
    let mut request = LoginLocal {
        keychain: args.keychain(),
        passphrase: None,
    };
    match program.table.ask("login.local", &request).await {
        Err(failure) if failure.code == FailureCode::PassphraseNeeded => {
            request.passphrase = Some(new_passphrase(program)?);
            program.table.ask("login.local", &request).await
        }
        answer => answer,
    }
}

async fn login_remote(
    program: &Program,
    args: &LoginArgs,
    address: String,
) -> Result<Account, Failure> {
    let mut request = LoginRemote {
        address,
        with: args.with(args.otp.clone())?,
        profile: args.name.clone(),
        keychain: args.keychain(),
        passphrase: None,
    };
    loop {
        match program.table.ask("login.remote", &request).await {
            Err(failure)
                if failure.code == FailureCode::PassphraseNeeded
                    && request.passphrase.is_none() =>
            {
                request.passphrase = Some(new_passphrase(program)?);
            }
            Err(failure) if failure.code == FailureCode::OtpNeeded => match &mut request.with {
                LoginWith::Password { otp, .. } if otp.is_none() && ask::can_ask() => {
                    *otp = Some(ask::secret("One-time password: ", false)?);
                }
                _ => return Err(failure.hint("give it with --otp")),
            },
            Err(failure) if failure.code == FailureCode::PasswordExpired => {
                match &mut request.with {
                    LoginWith::Password { new_password, .. } if new_password.is_none() => {
                        *new_password = Some(args.new_password(failure)?);
                    }
                    _ => return Err(failure),
                }
            }
            answer => return answer,
        }
    }
}

fn new_passphrase(program: &Program) -> Result<String, Failure> {
    let new = !program.table.paths().secrets_file().exists();
    ask::passphrase(new)
}

pub(crate) async fn logout(program: &Program) -> Result<(), Failure> {
    let done: Nothing = program.table.ask("logout", &Nothing {}).await?;
    program.output.answer(&done, |_| "Logged out.".to_owned());
    Ok(())
}

pub(crate) async fn whoami(program: &Program) -> Result<(), Failure> {
    let account: Account = program.table.ask("whoami", &Nothing {}).await?;
    program.output.answer(&account, |account| {
        pairs([
            ("User", account.email.clone()),
            ("Role", word(&account.role)),
            ("Profile", account.profile.clone()),
            ("Manager", account.endpoint.clone()),
            (
                "Version",
                account.manager_version.clone().unwrap_or_default(),
            ),
            ("Domain", account.domain.clone()),
            ("Project", account.project.clone()),
            ("Access key", account.access_key.clone()),
            ("Keychain", word(&account.keychain)),
        ])
    });
    Ok(())
}

pub(crate) async fn profile(program: &Program, verb: ProfileVerb) -> Result<(), Failure> {
    let list: ProfileList = match verb {
        ProfileVerb::Ls => program.table.ask("profile.list", &Nothing {}).await?,
        ProfileVerb::Use { name } => {
            program
                .table
                .ask("profile.use", &ProfileRef { name })
                .await?
        }
        ProfileVerb::Rm { name } => {
            ask::confirm(
                program,
                &format!("Forget the profile \"{name}\" and its keys?"),
                serde_json::Value::Null,
            )?;
            program
                .table
                .ask("profile.remove", &ProfileRef { name })
                .await?
        }
    };
    program.output.answer(&list, |list| {
        let row = |profile: &commands::types::Profile| {
            [
                if profile.current { "*" } else { "" }.to_owned(),
                profile.name.clone(),
                profile.email.clone().unwrap_or_default(),
                profile
                    .endpoint
                    .clone()
                    .unwrap_or_else(|| profile.title.clone()),
            ]
        };
        grid(
            ["", "PROFILE", "USER", "MANAGER"],
            list.profiles.iter().map(row),
        )
    });
    Ok(())
}

pub(crate) async fn keypair(program: &Program, verb: KeypairVerb) -> Result<(), Failure> {
    let KeypairVerb::Show { secret } = verb;
    let keypair: Keypair = program
        .table
        .ask("keypair.show", &KeypairShow { secret })
        .await?;
    program.output.answer(&keypair, |keypair| {
        pairs([
            ("Access key", keypair.access_key.clone()),
            ("Secret key", keypair.secret_key.clone().unwrap_or_default()),
        ])
    });
    Ok(())
}

/// A value of an enumeration as it stands in JSON.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
