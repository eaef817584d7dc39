//! The program that every session holds: its SSH and SFTP server, web terminal, services, logs
//! and statistics, and the supervisor outside that makes the sandbox and notes its end.
//!
//! It hides namespaces, bubblewrap and what a session's first process owes its children. Others
//! start the program and speak to it in the messages of `protocol::runner`; nothing is linked.
