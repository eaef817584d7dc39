//! Moves files and folders between this computer, sessions and data folders.
//!
//! The [`Queue`] keeps its work in SQLite: it goes on after a pause, a lost link or a crash, at
//! the byte where it was. A file appears under its final name only when it is whole and checked;
//! until then it has a temporary one. Where files live is behind [`Store`]; who can reach a
//! session or a data folder is the caller's business: see [`Places`].

mod alias;
mod attempt;
mod copy;
mod drive;
mod item;
mod limit;
mod link;
mod local;
mod moved;
mod name;
mod order;
mod parts;
mod problems;
mod progress;
mod queue;
mod rows;
mod run;
mod sftp;
mod shared;
mod silence;
mod store;
mod stores;
mod sweep;
mod work;

pub use item::{
    Conflict, Failure, FailureCode, Item, Links, Location, OnFinish, Overwrite, Place, Start,
    State, Transfer,
};
pub use local::LocalStore;
pub use name::PART_PREFIX;
pub use queue::{Change, Options, Queue, QueueError};
pub use sftp::{AsyncStream, ByteStream, Dial, SftpStore};
pub use store::{
    Begin, Capabilities, Entry, Kind, Places, Sink, Source, Store, StoreError, Ticket, WriteOptions,
};
