//! Commands and terminals on a connection.

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};

use super::{Connection, Error};

/// Output of a command beyond so many bytes for each of the two streams is dropped.
const OUTPUT_LIMIT: usize = 16 << 20;

/// What a command left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; none when a signal ended it or the connection went away.
    pub status: Option<u32>,
    /// What it printed; cut off after 16 MiB.
    pub stdout: Vec<u8>,
    /// Its errors; cut off after 16 MiB.
    pub stderr: Vec<u8>,
}

/// What terminal is wanted.
#[derive(Debug, Clone)]
pub struct TerminalRequest {
    /// The terminal's kind, as in `xterm-256color`.
    pub term: String,
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
    /// What runs in it; the login shell when absent.
    pub command: Option<String>,
}

/// A terminal inside the session.
pub struct Terminal {
    /// What it shows.
    pub reader: TerminalReader,
    /// What is typed.
    pub writer: TerminalWriter,
}

/// The output of a terminal.
pub struct TerminalReader {
    channel: ChannelReadHalf,
    status: Option<u32>,
}

/// The input of a terminal.
pub struct TerminalWriter {
    channel: ChannelWriteHalf<client::Msg>,
}

impl Connection {
    /// Runs `command` by the session's shell and waits for its end. Its input is empty.
    ///
    /// # Errors
    /// [`Error`]: the connection fails, or the server runs no commands.
    pub async fn exec(&self, command: &str) -> Result<Output, Error> {
        let mut channel = self.session().await?;
        channel.exec(true, command).await?;
        channel.eof().await?;
        let mut output = Output::default();
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => keep(&mut output.stdout, &data),
                ChannelMsg::ExtendedData { data, ext: 1 } => keep(&mut output.stderr, &data),
                ChannelMsg::ExitStatus { exit_status } => output.status = Some(exit_status),
                ChannelMsg::Failure => {
                    return Err(Error::Unsupported {
                        what: "to run a command",
                    });
                }
                _ => {}
            }
        }
        if output.status.is_none() && self.is_closed() {
            return Err(Error::Closed);
        }
        Ok(output)
    }

    /// Opens a terminal.
    ///
    /// # Errors
    /// [`Error`]: the connection fails, or the server gives no terminal.
    pub async fn terminal(&self, request: &TerminalRequest) -> Result<Terminal, Error> {
        let mut channel = self.session().await?;
        let (columns, rows) = (u32::from(request.columns), u32::from(request.rows));
        channel
            .request_pty(true, &request.term, columns, rows, 0, 0, &[])
            .await?;
        granted(&mut channel, "a terminal").await?;
        match &request.command {
            Some(command) => channel.exec(true, command.as_str()).await?,
            None => channel.request_shell(true).await?,
        }
        granted(&mut channel, "a shell").await?;
        let (reader, writer) = channel.split();
        Ok(Terminal {
            reader: TerminalReader {
                channel: reader,
                status: None,
            },
            writer: TerminalWriter { channel: writer },
        })
    }
}

/// Waits for the answer to the last request.
pub(super) async fn granted(
    channel: &mut russh::Channel<client::Msg>,
    what: &'static str,
) -> Result<(), Error> {
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Success => return Ok(()),
            ChannelMsg::Failure | ChannelMsg::Close => return Err(Error::Unsupported { what }),
            _ => {}
        }
    }
    Err(Error::Closed)
}

fn keep(into: &mut Vec<u8>, data: &[u8]) {
    let room = OUTPUT_LIMIT.saturating_sub(into.len()).min(data.len());
    into.extend_from_slice(&data[..room]);
}

impl TerminalReader {
    /// The next piece of output; `None` after the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.channel.wait().await? {
                ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => {
                    return Some(data);
                }
                ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// The exit status of what ran, once [`TerminalReader::next`] has come to the end.
    #[must_use]
    pub fn status(&self) -> Option<u32> {
        self.status
    }
}

impl TerminalWriter {
    /// Types `data`. Waits while the terminal does not take it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&self, data: impl Into<Bytes>) -> Result<(), Error> {
        Ok(self.channel.data_bytes(data).await?)
    }

    /// Tells the new size in characters.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), Error> {
        Ok(self
            .channel
            .window_change(u32::from(columns), u32::from(rows), 0, 0)
            .await?)
    }

    /// Hangs up; what runs in the terminal gets the hang-up signal.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(self.channel.close().await?)
    }
}
