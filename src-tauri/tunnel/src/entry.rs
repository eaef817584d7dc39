//! One tunnel while it is open.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::dial::{DialError, Target};
use crate::guard::{Guard, Secret, Tickets};
use crate::public::Public;
use crate::stock::Stock;
use crate::tunnel::{FailedTry, Protocol, Request, State, Tunnel};
use crate::tunnels::lock;

/// Failures that are remembered until whoever stores them has done so.
const MOST_FAILED: usize = 20;
/// Rates are taken over at least so long.
const RATE_OVER: Duration = Duration::from_secs(1);

pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    port: u16,
    created_at: Timestamp,
    pub(crate) connections: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    /// Microseconds; 0: not known.
    latency: AtomicU64,
    sample: Mutex<Sample>,
    pub(crate) status: Mutex<Status>,
    failed: Mutex<Failed>,
    pub(crate) public: Option<Public>,
    pub(crate) secret: Option<Secret>,
    pub(crate) tickets: Mutex<Tickets>,
    pub(crate) stock: Stock,
    /// Whether somebody already looks after the stock.
    pub(crate) stocking: AtomicBool,
    pub(crate) stop: CancellationToken,
    /// Ends the connections that are open now, and leaves the tunnel.
    cut: Mutex<CancellationToken>,
}

pub(crate) struct Status {
    pub(crate) state: State,
    pub(crate) last_error: Option<DialError>,
    pub(crate) keep: bool,
}

/// What the counters said a moment ago.
struct Sample {
    at: Instant,
    up: u64,
    down: u64,
    rate_up: u64,
    rate_down: u64,
}

/// What came to nothing of late.
#[derive(Default)]
struct Failed {
    /// The launch that goes on failing; none since the last success.
    launch: Option<String>,
    tries: VecDeque<FailedTry>,
}

impl Entry {
    pub(crate) fn new(request: Request, port: u16, stop: CancellationToken) -> Self {
        Self {
            id: request
                .id
                .unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            target: request.target,
            protocol: request.protocol,
            port,
            created_at: Timestamp::now(),
            connections: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            sample: Mutex::new(Sample {
                at: Instant::now(),
                up: 0,
                down: 0,
                rate_up: 0,
                rate_down: 0,
            }),
            status: Mutex::new(Status {
                state: State::Open,
                last_error: None,
                keep: request.keep,
            }),
            failed: Mutex::default(),
            public: request.public,
            secret: request.secret,
            tickets: Mutex::default(),
            stock: Stock::default(),
            stocking: AtomicBool::new(false),
            cut: Mutex::new(stop.child_token()),
            stop,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What ends a connection that begins now.
    pub(crate) fn connection(&self) -> CancellationToken {
        lock(&self.cut).clone()
    }

    /// Ends what is connected and what lies ready; the next connection begins anew.
    pub(crate) fn cut(&self) {
        let next = self.stop.child_token();
        std::mem::replace(&mut *lock(&self.cut), next).cancel();
        self.stock.clear();
    }

    pub(crate) fn guard(&self) -> Option<Guard> {
        let secret = self.secret.clone()?;
        Some(Guard::new(secret, self.port()))
    }

    pub(crate) fn reached_in(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.store(micros.max(1), Ordering::Relaxed);
        lock(&self.failed).launch = None;
    }

    /// Remembers a failure.
    pub(crate) fn remember(&self, took: Duration, error: DialError) -> FailedTry {
        let mut failed = lock(&self.failed);
        let launch = failed
            .launch
            .get_or_insert_with(|| uuid::Uuid::now_v7().to_string())
            .clone();
        let failure = FailedTry {
            launch,
            at: Timestamp::now(),
            took,
            error,
        };
        if failed.tries.len() == MOST_FAILED {
            failed.tries.pop_front();
        }
        failed.tries.push_back(failure.clone());
        failure
    }

    /// The last failures, the oldest first.
    pub(crate) fn failed_tries(&self) -> Vec<FailedTry> {
        lock(&self.failed).tries.iter().cloned().collect()
    }

    /// How the tunnel is doing, as a text without secrets.
    pub(crate) fn report(&self) -> String {
        let look = self.look();
        let mut text = format!(
            "tunnel {} to {} of session {} ({})\nprofile {}\nlocal port {}, {:?}, {:?}\nopened {}\n\
             {} connections, {} bytes up, {} bytes down\n",
            look.id,
            look.target.service.label(),
            look.target.session_name,
            look.target.session,
            look.target.profile,
            look.local_port,
            look.protocol,
            look.state,
            look.created_at,
            look.connections,
            look.bytes_up,
            look.bytes_down,
        );
        if let Some(latency) = look.latency {
            let _ = writeln!(text, "last reached in {} ms", latency.as_millis());
        }
        text
    }

    fn rates(&self) -> (u64, u64) {
        let mut sample = lock(&self.sample);
        let past = sample.at.elapsed();
        if past >= RATE_OVER {
            let up = self.up.load(Ordering::Relaxed);
            let down = self.down.load(Ordering::Relaxed);
            let millis = u64::try_from(past.as_millis()).unwrap_or(u64::MAX).max(1);
            let rate =
                |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1000) / millis;
            *sample = Sample {
                at: Instant::now(),
                up,
                down,
                rate_up: rate(up, sample.up),
                rate_down: rate(down, sample.down),
            };
        }
        (sample.rate_up, sample.rate_down)
    }

    pub(crate) fn look(&self) -> Tunnel {
        let (rate_up, rate_down) = self.rates();
        let status = lock(&self.status);
        let latency = self.latency.load(Ordering::Relaxed);
        Tunnel {
            id: self.id.clone(),
            target: self.target.clone(),
            protocol: self.protocol,
            local_port: self.port(),
            state: status.state,
            connections: self.connections.load(Ordering::Relaxed),
            bytes_up: self.up.load(Ordering::Relaxed),
            bytes_down: self.down.load(Ordering::Relaxed),
            rate_up,
            rate_down,
            latency: (latency > 0).then(|| Duration::from_micros(latency)),
            last_error: status.last_error.clone(),
            created_at: self.created_at,
            keep: status.keep,
            public: self.public.clone(),
            secret: self.secret.clone(),
        }
    }
}
