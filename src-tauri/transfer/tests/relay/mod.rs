//! A TCP relay that treats a link badly: cuts it, delays it, slows it down, or lets nothing through
//! any more without saying so. Counts what goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Pieces on their way in one direction; enough for 50 ms at more than 1 GB/s.
const ON_THE_WAY: usize = 2048;

/// Opens connections to a port of this computer.
pub(crate) fn dial(port: u16) -> transfer::Dial {
    Arc::new(move || {
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as transfer::ByteStream)
        })
    })
}

/// The relay; its connections end with it.
pub(crate) struct Relay {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    cut: watch::Sender<u64>,
}

struct Shared {
    to: u16,
    delay: Duration,
    /// Bytes per second in each direction of each connection; 0: as many as go.
    rate: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
    closed: AtomicBool,
}

/// What becomes of a connection: it goes on, lies still, or is cut.
#[derive(Clone)]
struct Fate {
    cut: watch::Receiver<u64>,
    still: watch::Receiver<u64>,
}

impl Relay {
    /// Relays to a local port, `delay` each way.
    pub(crate) async fn start(to: u16, delay: Duration) -> (Self, Still) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, cuts) = watch::channel(0);
        let (still, stills) = watch::channel(0);
        let shared = Arc::new(Shared {
            to,
            delay,
            rate: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let relay = Self {
            port,
            shared: shared.clone(),
            cut,
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (mut cut, mut still) = (cuts.clone(), stills.clone());
                cut.mark_unchanged();
                still.mark_unchanged();
                if shared.closed.load(Ordering::Relaxed) {
                    continue;
                }
                tokio::spawn(carry(shared.clone(), near, Fate { cut, still }));
            }
        });
        (relay, Still(still))
    }

    /// Cuts every connection that is open now.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Refuses new connections, or takes them again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.closed.store(refuse, Ordering::Relaxed);
    }

    /// Lets so many bytes a second through each connection each way.
    pub(crate) fn slow_down(&self, rate: u64) {
        self.shared.rate.store(rate, Ordering::Relaxed);
    }

    /// Bytes that went to the server.
    pub(crate) fn up(&self) -> u64 {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Bytes that came from the server.
    pub(crate) fn down(&self) -> u64 {
        self.shared.down.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

/// Freezes what is open now, as a network does that has gone away: no byte, no end.
pub(crate) struct Still(watch::Sender<u64>);

impl Still {
    pub(crate) fn freeze(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

async fn carry(shared: Arc<Shared>, near: TcpStream, mut fate: Fate) {
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let Ok(far) = TcpStream::connect(("127.0.0.1", shared.to)).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let still = fate.still.clone();
    let both = async {
        tokio::join!(
            pump(&shared, near_in, far_out, &shared.up, still.clone()),
            pump(&shared, far_in, near_out, &shared.down, still),
        )
    };
    tokio::select! {
        _ = both => {}
        _ = fate.cut.changed() => {}
    }
}

async fn pump(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    count: &AtomicU64,
    still: watch::Receiver<u64>,
) {
    let (queue, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length) = from.read(&mut buffer).await {
            if length == 0 {
                break;
            }
            let rate = shared.rate.load(Ordering::Relaxed);
            if rate > 0 {
                tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate as f64)).await;
            }
            let piece = (Instant::now() + shared.delay, buffer[..length].to_vec());
            if queue.send(piece).await.is_err() {
                break;
            }
        }
    };
    let write = async {
        while let Some((when, piece)) = arriving.recv().await {
            if !shared.delay.is_zero() {
                tokio::time::sleep_until(when).await;
            }
            if still.has_changed().unwrap_or(false) {
                std::future::pending::<()>().await;
            }
            count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
