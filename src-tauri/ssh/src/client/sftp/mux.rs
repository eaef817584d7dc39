//! Many requests on one channel: replies find their callers by id, in whatever order they come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::SftpError;
use super::codec::{Kind, Replies, Reply, Request};

/// Requests handed to the writer that it has not taken yet: what waits here can't be cancelled. So
/// many that those of many small files go out together.
const WAITING_TO_BE_SENT: usize = 32;
/// What is sent at once when it is made of small pieces; a packet of the channel.
const PACKET: usize = 32 << 10;
/// Up to this length copying a piece is cheaper than a packet of its own.
const SMALL_PIECE: usize = 8 << 10;
/// Bytes of file data that were sent and not answered yet, on one connection. All of them may have
/// to be sent again after a cut; OpenSSH's window of 2 MiB would not take more anyway.
pub(super) const WRITE_AHEAD: u32 = 3 << 20;
/// Bytes of file data that were asked for and not taken yet, on one connection. At 50 ms this
/// allows 140 MB/s.
pub(super) const READ_AHEAD: u32 = 7 << 20;

/// Leave to have so many bytes on their way; it ends when it is dropped.
pub(super) type Room = OwnedSemaphorePermit;

pub(super) struct Mux {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    next: AtomicU32,
    table: Arc<Mutex<Table>>,
    out: mpsc::Sender<Vec<Bytes>>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Table {
    closed: bool,
    /// Who waits, and the room that is free again when the answer is here.
    waiting: HashMap<u32, (oneshot::Sender<Reply>, Option<Room>)>,
}

/// A request on its way, and the room that is free again when its answer was taken.
pub(super) struct Pending {
    reply: oneshot::Receiver<Reply>,
    _room: Option<Room>,
}

impl Pending {
    pub(super) fn holding(self, room: Option<Room>) -> Self {
        Self {
            _room: room,
            ..self
        }
    }

    pub(super) async fn reply(self) -> Result<Reply, SftpError> {
        self.reply.await.map_err(|_| SftpError::Closed)
    }

    /// The reply if it is there already.
    pub(super) fn try_reply(&mut self) -> Option<Result<Reply, SftpError>> {
        match self.reply.try_recv() {
            Ok(reply) => Some(Ok(reply)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(SftpError::Closed)),
        }
    }
}

impl Mux {
    /// Takes over a channel on which the subsystem runs.
    pub(super) fn start(channel: russh::Channel<client::Msg>) -> Self {
        let (reader, writer) = channel.split();
        let (out, requests) = mpsc::channel(WAITING_TO_BE_SENT);
        let table = Arc::new(Mutex::new(Table::default()));
        // The writer ends by itself when its queue does, and closes the channel on the way out.
        tokio::spawn(write(writer, requests));
        let reader = tokio::spawn(read(reader, table.clone(), out.downgrade()));
        Self {
            reads: Arc::new(Semaphore::new(READ_AHEAD as usize)),
            writes: Arc::new(Semaphore::new(WRITE_AHEAD as usize)),
            next: AtomicU32::new(0),
            table,
            out,
            reader,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.table).closed
    }

    /// Says hello. The reply carries the version where others carry the id.
    pub(super) async fn greet(&self) -> Result<Reply, SftpError> {
        let pending = self.expect(3, None)?;
        self.push(vec![Request::init()]).await?;
        pending.reply().await
    }

    /// Sends a request; returns when it is on its way.
    pub(super) async fn send(
        &self,
        kind: Kind,
        fill: impl FnOnce(Request) -> Request,
    ) -> Result<Pending, SftpError> {
        let mut batch = Vec::with_capacity(1);
        let pending = self.add(&mut batch, kind, (Vec::new(), None), fill)?;
        self.push(batch).await?;
        Ok(pending)
    }

    /// Adds a request followed by data to `batch`, which [`Self::push`] sends as a whole. The room
    /// is given back when the answer comes.
    pub(super) fn add(
        &self,
        batch: &mut Vec<Bytes>,
        kind: Kind,
        (data, room): (Vec<Bytes>, Option<Room>),
        fill: impl FnOnce(Request) -> Request,
    ) -> Result<Pending, SftpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let head = fill(Request::new(kind, id)).done(data.iter().map(Bytes::len).sum());
        let pending = self.expect(id, room)?;
        batch.push(head);
        batch.extend(data);
        Ok(pending)
    }

    /// Closes a handle without waiting for the answer.
    pub(super) fn forget_handle(&self, handle: Bytes) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = vec![Request::new(Kind::Close, id).string(&handle).done(0)];
        if let Err(TrySendError::Full(request)) = self.out.try_send(request) {
            let out = self.out.clone();
            tokio::spawn(async move { out.send(request).await });
        }
    }

    pub(super) fn try_read_room(&self, bytes: u32) -> Option<Room> {
        self.reads.clone().try_acquire_many_owned(bytes).ok()
    }

    pub(super) async fn read_room(&self, bytes: u32) -> Result<Room, SftpError> {
        let room = self.reads.clone().acquire_many_owned(bytes).await;
        room.map_err(|_| SftpError::Closed)
    }

    pub(super) fn try_write_room(&self, bytes: u32) -> Option<Room> {
        self.writes.clone().try_acquire_many_owned(bytes).ok()
    }

    /// Room for `bytes`, once there is room for `free`.
    pub(super) async fn write_room(&self, bytes: u32, free: u32) -> Result<Room, SftpError> {
        let all = self
            .writes
            .clone()
            .acquire_many_owned(bytes.max(free))
            .await;
        let mut all = all.map_err(|_| SftpError::Closed)?;
        all.split(bytes as usize).ok_or(SftpError::Closed)
    }

    fn expect(&self, id: u32, room: Option<Room>) -> Result<Pending, SftpError> {
        let (sender, receiver) = oneshot::channel();
        let mut table = lock(&self.table);
        if table.closed {
            return Err(SftpError::Closed);
        }
        table.waiting.insert(id, (sender, room));
        Ok(Pending {
            reply: receiver,
            _room: None,
        })
    }

    pub(super) async fn push(&self, pieces: Vec<Bytes>) -> Result<(), SftpError> {
        self.out.send(pieces).await.map_err(|_| SftpError::Closed)
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn write(channel: ChannelWriteHalf<client::Msg>, mut requests: mpsc::Receiver<Vec<Bytes>>) {
    let mut batch = Vec::with_capacity(WAITING_TO_BE_SENT);
    while requests.recv_many(&mut batch, WAITING_TO_BE_SENT).await > 0 {
        for packet in packets(batch.drain(..).flatten()) {
            if channel.data_bytes(packet).await.is_err() {
                return;
            }
        }
    }
    let _ = channel.eof().await;
    let _ = channel.close().await;
}

/// Small pieces that follow each other go together: each packet is enciphered, sent, received and
/// handed on by itself. Large ones are not copied.
fn packets(pieces: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut pieces = pieces.peekable();
    let joins =
        |held: usize, next: &Bytes| next.len() <= SMALL_PIECE && held + next.len() <= PACKET;
    std::iter::from_fn(move || {
        let first = pieces.next()?;
        if first.len() > SMALL_PIECE || pieces.peek().is_none_or(|it| !joins(first.len(), it)) {
            return Some(first);
        }
        let mut packet = BytesMut::with_capacity(PACKET);
        packet.extend_from_slice(&first);
        while let Some(next) = pieces.next_if(|it| joins(packet.len(), it)) {
            packet.extend_from_slice(&next);
        }
        Some(packet.freeze())
    })
}

async fn read(
    mut channel: ChannelReadHalf,
    table: Arc<Mutex<Table>>,
    out: mpsc::WeakSender<Vec<Bytes>>,
) {
    let mut replies = Replies::default();
    while let Some(message) = channel.wait().await {
        let data = match message {
            ChannelMsg::Data { data } => data,
            ChannelMsg::Close | ChannelMsg::Eof => break,
            _ => continue,
        };
        let mut orphans = Vec::new();
        let fed = replies.feed(data, |id, reply| {
            let waiting = lock(&table).waiting.remove(&id);
            // A caller that was cancelled while the server opened a file leaves the handle to us.
            if let Some((caller, _)) = waiting
                && let Err(Reply::Handle(handle)) = caller.send(reply)
            {
                orphans.push(handle);
            }
        });
        for handle in orphans {
            if let Some(out) = out.upgrade() {
                // An id that nobody waits for.
                let request = Request::new(Kind::Close, u32::MAX).string(&handle).done(0);
                let _ = out.try_send(vec![request]);
            }
        }
        if let Err(error) = fed {
            tracing::warn!(%error, "SFTP session given up");
            break;
        }
    }
    let mut table = lock(&table);
    table.closed = true;
    // Dropping the senders tells every caller.
    table.waiting.clear();
}

fn lock(mutex: &Mutex<Table>) -> MutexGuard<'_, Table> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_go_together_and_large_ones_uncopied() {
        let piece = |length: usize| Bytes::from(vec![length as u8; length]);
        let large = piece(255 << 10);
        let pieces = [40, 4096, 30, 20].map(piece);
        let mut stream = pieces.to_vec();
        stream.push(large.clone());
        stream.extend(vec![piece(SMALL_PIECE); 5]);
        let sent: Vec<Bytes> = packets(stream.clone().into_iter()).collect();
        let lengths: Vec<usize> = sent.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [4186, 255 << 10, PACKET, SMALL_PIECE]);
        assert_eq!(sent.concat(), stream.concat());
        assert_eq!(sent[1].as_ptr(), large.as_ptr());
    }
}
