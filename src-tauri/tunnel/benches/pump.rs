//! A tunnel whose far end is a plain TCP connection, beside the same bytes without a tunnel: what
//! the listener, the pump and the request guard cost.
//!
//! `cargo bench -p tunnel [-- MEBIBYTES ROUNDS]` prints a Markdown table: medians over interleaved
//! rounds, and the ratio to the direct connection inside each round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench ends at the first trouble"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tunnel::{
    BoxStream, Dial, DialError, EnglishPages, LocalPort, Options, Protocol, Request, Service,
    Target, Tunnels,
};

const BLOCK: usize = 256 << 10;
const PINGS: usize = 2000;
const CONNECTIONS: usize = 300;

struct Direct(u16);

impl Dial for Direct {
    fn dial<'a>(&'a self, _target: &'a Target) -> BoxFuture<'a, Result<BoxStream, DialError>> {
        async move {
            let stream = TcpStream::connect(("127.0.0.1", self.0)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            Ok(Box::new(stream) as BoxStream)
        }
        .boxed()
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let number = |at: usize, usual: u64| numbers.get(at).copied().unwrap_or(usual);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(number(0, 1024) << 20, number(1, 5)));
}

async fn run(bytes: u64, rounds: u64) {
    let far = serve().await;
    let tunnels = Tunnels::new(
        Arc::new(Direct(far)),
        Arc::new(EnglishPages),
        Options::default(),
    );
    let target = Target {
        profile: "bench".to_owned(),
        session: "0".to_owned(),
        session_name: "bench".to_owned(),
        service: Service::Port { port: far },
    };
    let request = Request {
        local_port: LocalPort::Fixed(0),
        ..Request::new(target, Protocol::Tcp)
    };
    let through = tunnels.open(request).await.unwrap().local_port;
    let mut figures: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for _ in 0..rounds {
        let mut note = |what, pair| figures.entry(what).or_default().push(pair);
        note(
            "1 down, MB/s",
            [down(through, bytes).await, down(far, bytes).await],
        );
        note(
            "2 up, MB/s",
            [up(through, bytes).await, up(far, bytes).await],
        );
        note("3 ping p50, µs", [ping(through).await, ping(far).await]);
        note(
            "4 set-up to first byte p50, µs",
            [set_up(through).await, set_up(far).await],
        );
    }
    println!("| figure | tunnel | direct | ratio |\n|---|---|---|---|");
    for (what, rounds) in figures {
        let [tunnel, direct] =
            [0, 1].map(|at| median(rounds.iter().map(|pair| pair[at]).collect()));
        let ratio = median(rounds.iter().map(|pair| pair[0] / pair[1]).collect());
        println!(
            "| {} | {tunnel:.0} | {direct:.0} | {ratio:.2} |",
            &what[2..]
        );
    }
}

/// The first byte of a connection says what is wanted: `d`ata, a `s`ink, or an `e`cho.
async fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(answer(stream));
        }
    });
    port
}

async fn answer(mut stream: TcpStream) {
    let mut buffer = vec![0; BLOCK];
    match stream.read_u8().await {
        Ok(b'd') => while stream.write_all(&buffer).await.is_ok() {},
        Ok(b's') => {
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            let _ = stream.write_all(b"!").await;
        }
        _ => {
            while let Ok(byte) = stream.read_u8().await {
                let _ = stream.write_u8(byte).await;
            }
        }
    }
}

async fn connect(port: u16, want: u8) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_u8(want).await.unwrap();
    stream
}

async fn down(port: u16, bytes: u64) -> f64 {
    let mut stream = connect(port, b'd').await;
    let (mut buffer, mut left, start) = (vec![0; BLOCK], bytes, Instant::now());
    while left > 0 {
        left = left.saturating_sub(stream.read(&mut buffer).await.unwrap() as u64);
    }
    rate(bytes, start)
}

async fn up(port: u16, bytes: u64) -> f64 {
    let mut stream = connect(port, b's').await;
    let (buffer, mut left, start) = (vec![0; BLOCK], bytes, Instant::now());
    while left > 0 {
        let length = left.min(BLOCK as u64);
        stream.write_all(&buffer[..length as usize]).await.unwrap();
        left -= length;
    }
    stream.shutdown().await.unwrap();
    stream.read_u8().await.unwrap();
    rate(bytes, start)
}

async fn ping(port: u16) -> f64 {
    let mut stream = connect(port, b'e').await;
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        stream.write_u8(1).await.unwrap();
        stream.read_u8().await.unwrap();
        times.push(micros(start.elapsed()));
    }
    median(times)
}

async fn set_up(port: u16) -> f64 {
    let mut times = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let start = Instant::now();
        let mut stream = connect(port, b'e').await;
        stream.write_u8(1).await.unwrap();
        stream.read_u8().await.unwrap();
        times.push(micros(start.elapsed()));
    }
    median(times)
}

fn rate(bytes: u64, start: Instant) -> f64 {
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
