//! A link to a manager that is treated badly: cut, refused, delayed, slowed down, or frozen, so that
//! neither a byte nor an end comes through.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Pieces on their way in one direction of a connection.
const ON_THE_WAY: usize = 1024;

/// The link; what goes through it can be told at any time what becomes of it.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    refuses: AtomicBool,
    /// Connections of an older age lie still.
    frozen: AtomicU64,
    age: AtomicU64,
    delay_ms: AtomicU64,
    /// Bytes each second each way of each connection; 0: as many as go.
    rate: AtomicU64,
    taken: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Listens on a free port of this computer and leads to `manager`, an address such as
    /// `http://127.0.0.1:8091`.
    ///
    /// # Errors
    /// When `manager` is no such address, or nothing can be listened on.
    pub fn to(manager: &str) -> Result<Self> {
        let manager = manager.strip_prefix("http://").context("http:// only")?;
        let manager: SocketAddr = manager.trim_end_matches('/').parse()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.refuses.load(SeqCst) {
                    continue;
                }
                shared.taken.fetch_add(1, SeqCst);
                let Ok(far) = TcpStream::connect(manager) else {
                    continue;
                };
                carry(&near, &far, &shared);
            }
        });
        Ok(Self { address, state })
    }

    /// Its own address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections that were taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.state.taken.load(SeqCst)
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        for stream in self.state.open().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Refuses new connections, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, SeqCst);
    }

    /// Freezes every connection that is open now, as a network does that has gone away. New ones
    /// are not touched.
    pub fn freeze(&self) {
        let age = self.state.age.fetch_add(1, SeqCst);
        self.state.frozen.store(age + 1, SeqCst);
    }

    /// Lets each byte that comes from now on arrive so much later.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.state.delay_ms.store(millis, SeqCst);
    }

    /// Lets so many bytes a second through each connection each way; 0: as many as go.
    pub fn slow_down(&self, rate: u64) {
        self.state.rate.store(rate, SeqCst);
    }
}

impl State {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry(near: &TcpStream, far: &TcpStream, state: &Arc<State>) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let age = state.age.load(SeqCst);
    for (from, to) in [(near, far), (far, near)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        if let Ok(known) = from.try_clone() {
            state.open().push(known);
        }
        let state = Arc::clone(state);
        thread::spawn(move || pump(from, to, age, &state));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, age: u64, state: &Arc<State>) {
    let (queue, arriving) = sync_channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let shared = Arc::clone(state);
    let frozen = move || shared.frozen.load(SeqCst) > age;
    let is_frozen = frozen.clone();
    thread::spawn(move || {
        for (due, piece) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if frozen() || to.write_all(&piece).is_err() {
                break;
            }
        }
        if frozen() {
            // Nobody learns of its end, until it is cut.
            thread::sleep(Duration::from_secs(3600));
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let rate = state.rate.load(SeqCst);
        if rate > 0 {
            thread::sleep(Duration::from_secs_f64(count as f64 / rate as f64));
        }
        let due = Instant::now() + Duration::from_millis(state.delay_ms.load(SeqCst));
        if is_frozen() || queue.send((due, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    if is_frozen() {
        thread::sleep(Duration::from_secs(3600));
    }
}
