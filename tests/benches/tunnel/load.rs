//! The program at the far end of every tunnel, and what drives it from the near end.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const BLOCK: usize = 256 * 1024;
/// A test that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(180);

/// What a connection is for: its first byte, followed by a length.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Wish {
    /// So many bytes from the far end.
    Down = b'd',
    /// So many bytes to the far end, which then says one byte.
    Up = b'u',
    /// Everything back.
    Echo = b'e',
}

/// Serves connections for ever.
pub(crate) fn serve(address: &str) -> io::Result<()> {
    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [wish, length @ ..] = head;
    let length = u64::from_le_bytes(length);
    match wish {
        b'd' => send(&mut stream, length)?,
        b'u' => {
            take(&mut stream, length)?;
            stream.write_all(b"k")?;
        }
        _ => {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match stream.read(&mut buffer)? {
                    0 => break,
                    read => stream.write_all(&buffer[..read])?,
                }
            }
        }
    }
    // Closing before the other end has would cut off what is on its way.
    let mut rest = [0; 64];
    while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
    Ok(())
}

fn send(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let block = vec![0x5a; BLOCK];
    while left > 0 {
        let length = left.min(BLOCK as u64);
        stream.write_all(&block[..length as usize])?;
        left -= length;
    }
    Ok(())
}

fn take(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    while left > 0 {
        let most = left.min(BLOCK as u64) as usize;
        match stream.read(&mut buffer[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left -= read as u64,
        }
    }
    Ok(())
}

fn open(port: u16, wish: Wish, length: u64) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut head = [wish as u8; 9];
    head[1..].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&head)?;
    Ok(stream)
}

/// Whether what goes through comes back, for as long as a peer may take to come up.
pub(crate) fn works(port: u16) -> bool {
    let ask = || -> io::Result<()> {
        let mut stream = open(port, Wish::Echo, 0)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])
    };
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if ask().is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// MB/s towards this end.
pub(crate) fn down(port: u16, bytes: u64) -> io::Result<f64> {
    let started = Instant::now();
    take(&mut open(port, Wish::Down, bytes)?, bytes)?;
    Ok(rate(bytes, started))
}

/// MB/s towards the far end.
pub(crate) fn up(port: u16, bytes: u64) -> io::Result<f64> {
    let started = Instant::now();
    let mut stream = open(port, Wish::Up, bytes)?;
    send(&mut stream, bytes)?;
    stream.read_exact(&mut [0])?;
    Ok(rate(bytes, started))
}

/// Median time of one byte there and back, in µs.
pub(crate) fn ping(port: u16, count: usize) -> io::Result<f64> {
    let mut stream = open(port, Wish::Echo, 0)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// Median time from nothing to the first byte back, in µs, of connections one after the other.
pub(crate) fn set_up(port: u16, count: usize) -> io::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let mut stream = open(port, Wish::Echo, 0)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// Many connections at once: MB/s in sum, and how many failed.
pub(crate) fn many(port: u16, connections: usize, bytes: u64) -> (f64, usize) {
    let ready = Arc::new(Barrier::new(connections + 1));
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let ready = ready.clone();
            thread::Builder::new()
                .stack_size(512 * 1024)
                .spawn(move || {
                    let opened = open(port, Wish::Echo, 0).and_then(|mut stream| {
                        stream.write_all(b"x")?;
                        stream.read_exact(&mut [0])?;
                        Ok(stream)
                    });
                    ready.wait();
                    // The first one stays open while a second one moves bytes.
                    let _first = opened?;
                    take(&mut open(port, Wish::Down, bytes)?, bytes)
                })
        })
        .collect();
    ready.wait();
    let started = Instant::now();
    let failed = workers
        .into_iter()
        .map(|worker| worker.map(std::thread::JoinHandle::join))
        .filter(|ended| !matches!(ended, Ok(Ok(Ok(())))))
        .count();
    let good = (connections - failed) as u64;
    (rate(good * bytes, started), failed)
}

/// Asks for far more than is then read on so many connections, and reads none of it for a while.
pub(crate) fn stall(port: u16, connections: usize, time: Duration) -> io::Result<Vec<TcpStream>> {
    let streams: io::Result<Vec<TcpStream>> = (0..connections)
        .map(|_| open(port, Wish::Down, 1 << 30))
        .collect();
    thread::sleep(time);
    streams
}

fn rate(bytes: u64, started: Instant) -> f64 {
    bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}

/// The one in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
