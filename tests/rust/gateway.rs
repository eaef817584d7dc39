//! A gateway before a manager, as organisations have them: it notes when each answer has passed,
//! may keep answers back, and may pass no WebSockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

/// One request that came by.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Its first line and what follows, as far as it came at once.
    pub request: String,
    /// When it came.
    pub asked: SystemTime,
    /// When the last byte of its answer went on; not yet, or never, without one.
    pub answered: Option<SystemTime>,
    /// Whether the client hung up before its answer came.
    pub given_up: bool,
}

#[derive(Debug, Default)]
struct State {
    passed: Mutex<Vec<Passed>>,
    holds: AtomicBool,
    no_upgrades: AtomicBool,
    cut: AtomicBool,
    /// What no first line of a request may hold.
    unwanted: Mutex<Option<String>>,
    /// What stands for what in answers.
    shown: Mutex<Option<(String, String)>>,
    /// Both ends of what is open.
    open: Mutex<Vec<TcpStream>>,
}

impl State {
    fn passed(&self) -> std::sync::MutexGuard<'_, Vec<Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwanted(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Option<(String, String)>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuses(&self, request: &str) -> bool {
        let first = request.lines().next().unwrap_or_default();
        let unwanted = self.unwanted();
        unwanted.as_ref().is_some_and(|text| first.contains(text))
            || (self.no_upgrades.load(SeqCst)
                && request.to_ascii_lowercase().contains("upgrade: websocket"))
    }
}

/// The gateway; its connections end with the test.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    state: Arc<State>,
}

impl Gateway {
    /// Listens on a free port of this computer and passes everything on to `manager`, an address
    /// such as `http://127.0.0.1:8091`.
    ///
    /// # Errors
    /// When `manager` is no such address, or nothing can be listened on.
    pub fn before(manager: &str) -> Result<Self> {
        let manager = manager.strip_prefix("http://").context("http:// only")?;
        let manager: SocketAddr = manager.trim_end_matches('/').parse()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || connection(client, manager, &state));
            }
        });
        Ok(Self { address, state })
    }

    /// Its own address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came by so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Passed> {
        self.state.passed().clone()
    }

    /// Keeps all answers back from now on, or lets them go.
    pub fn hold(&self, holds: bool) {
        self.state.holds.store(holds, SeqCst);
    }

    /// Ends all connections and takes no more, as a network that is gone, or is there again.
    pub fn cut(&self, cut: bool) {
        self.state.cut.store(cut, SeqCst);
        let mut open = self
            .state
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for end in open.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// From now on turns away whoever wants a WebSocket.
    pub fn refuse_upgrades(&self) {
        self.state.no_upgrades.store(true, SeqCst);
    }

    /// From now on turns away requests whose first line holds `text`.
    pub fn turn_away(&self, text: &str) {
        *self.state.unwanted() = Some(text.to_owned());
    }

    /// From now on writes `shown` in answers in the place of `hidden`, which is as long.
    ///
    /// # Errors
    /// When it is not as long: the answer's length would be wrong.
    pub fn show(&self, hidden: &str, shown: &str) -> Result<()> {
        ensure!(hidden.len() == shown.len(), "{hidden} and {shown}");
        *self.state.shown() = Some((hidden.to_owned(), shown.to_owned()));
        Ok(())
    }
}

/// Both directions of one connection, each in a thread.
fn connection(client: TcpStream, manager: SocketAddr, state: &Arc<State>) {
    if state.cut.load(SeqCst) {
        return;
    }
    let Ok(upstream) = TcpStream::connect(manager) else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let (Ok(to_client), Ok(to_manager)) = (client.try_clone(), upstream.try_clone()) else {
        return;
    };
    if let (Ok(one), Ok(other)) = (client.try_clone(), upstream.try_clone()) {
        let mut open = state.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend([one, other]);
    }
    // Which of the requests waits for its answer on this connection.
    let waiting = Arc::new(Mutex::new(None));
    let back = (Arc::clone(state), Arc::clone(&waiting));
    let answers = thread::spawn(move || answers(upstream, to_client, &back.0, &back.1));
    requests(client, to_manager, state, &waiting);
    let _ = answers.join();
}

type Waiting = Mutex<Option<usize>>;

fn waits(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<usize>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn requests(mut client: TcpStream, mut manager: TcpStream, state: &State, waiting: &Waiting) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let chunk = &buffer[..count];
        let begins = [
            &b"GET "[..],
            b"POST ",
            b"PUT ",
            b"PATCH ",
            b"DELETE ",
            b"HEAD ",
        ];
        if begins.iter().any(|method| chunk.starts_with(method)) {
            let request = String::from_utf8_lossy(chunk).into_owned();
            if state.refuses(&request) {
                let _ = client.write_all(
                    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
                break;
            }
            let mut passed = state.passed();
            *waits(waiting) = Some(passed.len());
            passed.push(Passed {
                request,
                asked: SystemTime::now(),
                answered: None,
                given_up: false,
            });
        } else if let Some(at) = *waits(waiting) {
            let more = String::from_utf8_lossy(chunk);
            state.passed()[at].request.push_str(&more);
        }
        if manager.write_all(chunk).is_err() {
            break;
        }
    }
    if let Some(at) = waits(waiting).take() {
        state.passed()[at].given_up = true;
    }
    let _ = manager.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

fn answers(mut manager: TcpStream, mut client: TcpStream, state: &State, waiting: &Waiting) {
    let mut buffer = vec![0; 256 << 10];
    let mut answer = Answer::default();
    while let Ok(count @ 1..) = manager.read(&mut buffer) {
        while state.holds.load(SeqCst) && waits(waiting).is_some() {
            thread::sleep(Duration::from_millis(5));
        }
        let chunk = &mut buffer[..count];
        if let Some((hidden, shown)) = &*state.shown() {
            replace(chunk, hidden.as_bytes(), shown.as_bytes());
        }
        if client.write_all(chunk).is_err() {
            break;
        }
        if answer.ends_with(chunk) {
            answer = Answer::default();
            if let Some(at) = waits(waiting).take() {
                state.passed()[at].answered = Some(SystemTime::now());
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = manager.shutdown(Shutdown::Both);
}

fn replace(chunk: &mut [u8], hidden: &[u8], shown: &[u8]) {
    let mut at = 0;
    while let Some(window) = chunk.get(at..at + hidden.len()) {
        if window == hidden {
            chunk[at..at + hidden.len()].copy_from_slice(shown);
        }
        at += 1;
    }
}

/// How far an answer is.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    /// Bytes of the body, where the head has said how many.
    length: Option<usize>,
    body: usize,
}

impl Answer {
    /// Takes the next part; whether it was the last one.
    fn ends_with(&mut self, chunk: &[u8]) -> bool {
        const END: &[u8] = b"\r\n\r\n";
        let ended = |head: &[u8]| head.windows(END.len()).position(|part| part == END);
        if ended(&self.head).is_some() {
            self.body += chunk.len();
        } else {
            self.head.extend_from_slice(chunk);
            let Some(at) = ended(&self.head) else {
                return false;
            };
            self.body = self.head.len() - at - END.len();
            let head = String::from_utf8_lossy(&self.head[..at]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            self.length = length.and_then(|length| length.trim().parse().ok());
        }
        match self.length {
            Some(length) => self.body >= length,
            None => chunk.ends_with(b"0\r\n\r\n"),
        }
    }
}
