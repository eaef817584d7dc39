//! Who is logged in where, and how the secret is kept.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Where the secret key of a profile is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum KeychainKind {
    /// The operating system's keychain (Secret Service on Linux).
    #[default]
    System,
    /// An encrypted file, opened by a passphrase.
    File,
    /// This process only; asked again next time.
    Memory,
}

/// What a user may do on a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything on this manager.
    Superadmin,
    /// Everything in one domain.
    Admin,
    /// Their own work.
    User,
    /// Reads everything, changes nothing.
    Monitor,
}

/// The account that a profile is logged in with. Never carries the secret key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Account {
    /// Name of the profile.
    pub profile: String,
    /// E-mail address of the user.
    pub email: String,
    /// User name; may equal the address.
    pub username: String,
    /// Role on the manager.
    pub role: Role,
    /// Public half of the keypair.
    pub access_key: String,
    /// Domain of the user.
    pub domain: String,
    /// Project in which new sessions start.
    pub project: String,
    /// Address of the manager.
    pub endpoint: String,
    /// Version of the manager's software, for people; `None` until it has answered once.
    pub manager_version: Option<String>,
    /// Where the secret key is kept.
    pub keychain: KeychainKind,
}

/// A profile: one manager and one account on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Profile {
    /// Name, as given with `--profile`.
    pub name: String,
    /// What people call it ("This computer").
    pub title: String,
    /// Address; `None` for this computer, whose port may change.
    pub endpoint: Option<String>,
    /// Whether somebody is logged in.
    pub logged_in: bool,
    /// Whether commands without `--profile` use it.
    pub current: bool,
    /// Address of the user, when logged in.
    pub email: Option<String>,
}

/// All profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProfileList {
    /// In the order of the configuration file.
    pub profiles: Vec<Profile>,
}

/// Names one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProfileRef {
    /// Name of the profile.
    pub name: String,
}

/// Logs in to this computer; starts the engine when it does not run.
#[derive(Clone, Default, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct LoginLocal {
    /// Where to keep the secret; by default as chosen before, else the system's keychain.
    pub keychain: Option<KeychainKind>,
    /// Opens or makes the encrypted file; only with `file`.
    pub passphrase: Option<String>,
}

impl std::fmt::Debug for LoginLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginLocal")
            .field("keychain", &self.keychain)
            .field("passphrase", &self.passphrase.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Asks what stands behind an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ManagerFind {
    /// As a person types it; `https` is meant where no scheme is given.
    pub address: String,
}

/// How a manager is logged in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// At the manager itself: by password or with a keypair.
    Api,
    /// At its web server: by password, which keeps the login.
    Session,
}

/// A manager that has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ManagerFound {
    /// Its whole address.
    pub endpoint: String,
    /// How it is logged in to.
    pub mode: AccessMode,
    /// Version of its software, for people.
    pub manager_version: String,
    /// Version of the API that it speaks (`v9.20250722`).
    pub api_version: String,
    /// It is newer than this program: what it has new stays hidden.
    pub newer: bool,
    /// It is the engine of this product.
    pub ours: bool,
}

/// What somebody shows of themselves at a login.
#[derive(Clone, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(optional_fields = nullable)]
pub enum LoginWith {
    /// A password.
    Password {
        /// E-mail address or user name.
        username: String,
        /// The password; kept nowhere.
        password: String,
        /// One-time password, where the account needs one.
        otp: Option<String>,
        /// Domain, at a manager without a web server; `default` when absent.
        domain: Option<String>,
        /// Ends an older login of the account when there are too many.
        #[serde(default)]
        #[ts(optional, as = "Option<_>")]
        force: bool,
        /// The one from now on, where the password has expired; kept nowhere either.
        new_password: Option<String>,
    },
    /// A keypair.
    Keypair {
        /// Public half.
        access_key: String,
        /// Secret half.
        secret_key: String,
    },
}

/// Logs in to another manager; makes or changes the profile for it.
#[derive(Clone, Serialize, Deserialize, TS)]
#[ts(optional_fields = nullable)]
pub struct LoginRemote {
    /// Address, as a person types it.
    pub address: String,
    /// Who.
    pub with: LoginWith,
    /// Name of the profile; by default the manager's host, and for a second account on it the
    /// user too.
    #[serde(default)]
    pub profile: Option<String>,
    /// Where to keep the secret; by default as chosen before, else the system's keychain.
    #[serde(default)]
    pub keychain: Option<KeychainKind>,
    /// Opens or makes the encrypted file; only with `file`.
    #[serde(default)]
    pub passphrase: Option<String>,
}

impl std::fmt::Debug for LoginRemote {
    /// Without anything that opens something.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRemote")
            .field("address", &self.address)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// Whether a store for secrets can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum KeychainState {
    /// Open; secrets can be read and written.
    Ready,
    /// There, but locked: the user has to unlock it.
    Locked,
    /// There is none on this computer or in this login session.
    Absent,
}

/// The store for secrets and its state, told plainly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KeychainStatus {
    /// Which store the current profile uses.
    pub store: KeychainKind,
    /// Whether it can be used.
    pub state: KeychainState,
    /// One sentence for people.
    pub detail: String,
}

/// The user's own keypair, for other clients of the manager. Only the terminal and the owner's
/// socket may ask for it, never a web view.
#[derive(Clone, Serialize, Deserialize, TS)]
pub struct Keypair {
    /// Public half.
    pub access_key: String,
    /// Secret half; `None` unless asked for.
    pub secret_key: Option<String>,
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keypair")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// Asks for the own keypair.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, TS)]
#[serde(default)]
#[ts(optional_fields = nullable)]
pub struct KeypairShow {
    /// Also the secret half.
    #[ts(optional, as = "Option<_>")]
    pub secret: bool,
}
