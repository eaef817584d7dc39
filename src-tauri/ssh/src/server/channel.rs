//! Joins a session channel with a process.

use std::sync::Arc;

use bytes::BytesMut;
use russh::{ChannelMsg, ChannelWriteHalf, Sig, server::Msg};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{ChildIo, ExitStatus, Host, Order, Process, ProcessControl, PtySize, inbox::Inbox};

/// What is read from a process at a time.
const CHUNK: usize = 64 << 10;
/// Number of the standard error stream in extended data (RFC 4254 §5.2).
const STDERR: u32 = 1;

type Writer = Arc<ChannelWriteHalf<Msg>>;

/// Runs a process to its end, or until the client goes.
pub(super) async fn run(
    host: Arc<dyn Host>,
    reader: Inbox,
    writer: ChannelWriteHalf<Msg>,
    order: Order,
) {
    let writer = Arc::new(writer);
    let status = match host.spawn(order).await {
        Ok(process) => attend(process, reader, &writer).await,
        Err(error) => {
            let text = format!("{error}\r\n");
            // The client may be gone already; there is nobody else to tell.
            let _ = writer.extended_data_bytes(STDERR, text.into_bytes()).await;
            ExitStatus::Code(127)
        }
    };
    report(status, &writer).await;
}

async fn attend(process: Process, reader: Inbox, writer: &Writer) -> ExitStatus {
    let Process { io, control, exit } = process;
    let (input, outputs, pty) = match io {
        ChildIo::Pty { output, input } => {
            let output = tokio::spawn(pump(output, writer.clone(), None));
            (input, vec![output], true)
        }
        ChildIo::Pipes {
            stdin,
            stdout,
            stderr,
        } => {
            let stdout = tokio::spawn(pump(stdout, writer.clone(), None));
            let stderr = tokio::spawn(pump(stderr, writer.clone(), Some(STDERR)));
            (stdin, vec![stdout, stderr], false)
        }
    };
    let feeder = tokio::spawn(feed(reader, input, control, pty));
    let status = exit.await.unwrap_or(ExitStatus::Signal(9));
    for output in outputs {
        // A pump that was cancelled or panicked has nothing more to send.
        let _ = output.await;
    }
    feeder.abort();
    status
}

async fn pump(mut from: Box<dyn AsyncRead + Send + Unpin>, to: Writer, extended: Option<u32>) {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        buffer.reserve(CHUNK / 4);
        match from.read_buf(&mut buffer).await {
            // Reading a terminal whose last user is gone fails with EIO: that is its end of file.
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let data = buffer.split().freeze();
                let sent = match extended {
                    None => to.data_bytes(data).await,
                    Some(stream) => to.extended_data_bytes(stream, data).await,
                };
                if sent.is_err() {
                    return;
                }
            }
        }
    }
}

async fn feed(
    mut reader: Inbox,
    mut input: Box<dyn AsyncWrite + Send + Unpin>,
    control: Box<dyn ProcessControl>,
    pty: bool,
) {
    let mut open = true;
    while let Some(message) = reader.next().await {
        match message {
            ChannelMsg::Data { data } if open => {
                open = input.write_all(&data).await.is_ok() && input.flush().await.is_ok();
            }
            ChannelMsg::Eof if pty => {
                // A terminal has no end of file; the user's own end-of-file character says it.
                let _ = input.write_all(&[4]).await;
            }
            ChannelMsg::Eof => {
                let _ = input.shutdown().await;
                input = Box::new(tokio::io::sink());
            }
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                ..
            } => control.resize(PtySize {
                columns: u16::try_from(col_width).unwrap_or(80),
                rows: u16::try_from(row_height).unwrap_or(24),
            }),
            ChannelMsg::Signal { signal } => control.signal(name_of(&signal)),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    control.hang_up();
}

async fn report(status: ExitStatus, writer: &Writer) {
    // A client that is gone needs no report.
    let _ = writer
        .exit_status(u32::try_from(status.code()).unwrap_or(255))
        .await;
    let _ = writer.eof().await;
    let _ = writer.close().await;
}

fn name_of(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}
