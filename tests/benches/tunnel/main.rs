//! Tunnels side by side: the product, nothing at all, two plain hops, the system's `ssh -L`, and a
//! WebSocket proxy of Node (where `ws` is found by `NODE_PATH`).
//!
//! `GANGWAY_PROGRAMS=target/release cargo bench -p tests --bench tunnel -- [--mib N] [--rounds N]
//! [--ways plain,line,tls]` prints Markdown: medians over rounds in which everybody takes turns,
//! and ratios inside each round to `ssh -L` and to what nobody can do without: two plain hops, or
//! the bare line. `line` has 25 ms each way between the two halves; only the product knows `tls`,
//! and TLS ends in a hop of its own there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a bench ends at the first trouble"
)]

mod hop;
mod load;
mod peer;
mod usage;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use peer::{Between, DIRECT, HOPS, Peer, Product, SSH};

const LINE: Duration = Duration::from_millis(25);
/// So many readers stall at once: what one of them costs is lost in everything else.
const STALLED: usize = 20;

struct Plan {
    bytes: u64,
    rounds: usize,
    connections: usize,
    pings: usize,
    set_ups: usize,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", at] => return Ok(load::serve(at)?),
        ["relay", at, to] => return Ok(hop::relay(at, to, Duration::ZERO)?),
        ["delay", at, to, millis] => {
            return Ok(hop::relay(at, to, Duration::from_millis(millis.parse()?))?);
        }
        ["tls", at, to, folder] => return hop::tls(at, to, Path::new(folder)),
        // So runs `cargo test`, which has no time for this.
        other if !other.contains(&"--bench") => return Ok(()),
        _ => {}
    }
    let option = |name: &str, usual: &str| {
        let at = words.iter().position(|word| *word == name);
        let value = at.and_then(|at| words.get(at + 1)).copied();
        value.unwrap_or(usual).to_owned()
    };
    let mib: u64 = option("--mib", "1024").parse()?;
    let rounds: usize = option("--rounds", "3").parse()?;
    let folder = tempfile::tempdir()?;
    let (backend, _running) = peer::backend()?;
    let product = Product::start()?;
    for way in option("--ways", "plain,line,tls").split(',') {
        let plan = Plan {
            bytes: if way == "line" { mib.min(128) } else { mib } << 20,
            rounds,
            connections: 200,
            pings: if way == "line" { 20 } else { 3000 },
            set_ups: if way == "line" { 15 } else { 200 },
        };
        let delay = if way == "line" { LINE } else { Duration::ZERO };
        let between = match way {
            "line" => Between::Line(LINE),
            "tls" => Between::Tls,
            _ => Between::Nothing,
        };
        let mut peers = vec![
            peer::direct(backend, delay)?,
            peer::ssh(backend, delay, folder.path())?,
            product.tunnel(between).context("the product")?,
        ];
        if delay.is_zero() {
            peers.push(peer::relay(backend)?);
        }
        match peer::node(backend, delay, folder.path()) {
            Ok(node) => peers.push(node),
            Err(error) => println!("(without Node: {error:#})"),
        }
        println!(
            "\n## {way}, {} MiB, {} rounds\n",
            plan.bytes >> 20,
            plan.rounds
        );
        let least = if delay.is_zero() { HOPS } else { DIRECT };
        show(&measure(&peers, &plan, way == "plain")?, least);
    }
    Ok(())
}

type Figures = BTreeMap<(&'static str, &'static str), Vec<f64>>;

fn measure(peers: &[Peer], plan: &Plan, full: bool) -> Result<Figures> {
    let mut figures = Figures::new();
    let gib = plan.bytes as f64 / f64::from(1 << 30);
    for round in 0..plan.rounds {
        // Whoever is first in one round is later in the next.
        for turn in 0..peers.len() {
            let peer = &peers[(turn + round) % peers.len()];
            let (both, port) = (peer.both(), peer.port);
            let mut note = |what, figure: f64| {
                eprintln!("{} {what}: {figure:.2}", peer.name);
                figures.entry((what, peer.name)).or_default().push(figure);
            };
            if full && round == 0 && !both.is_empty() {
                // Before all bulk: memory that was given back to no one would hide what is held.
                let before = usage::now(&both);
                let stalled = load::stall(port, STALLED, Duration::from_secs(2))?;
                let held = usage::now(&both) - before;
                note("b held for a stalled reader, MiB", held / STALLED as f64);
                drop(stalled);
            }
            usage::forget(&both);
            let before = usage::cpu(&both);
            note("1 down, MB/s", load::down(port, plan.bytes)?);
            let between = usage::cpu(&both);
            note("2 up, MB/s", load::up(port, plan.bytes)?);
            let after = usage::cpu(&both);
            if !both.is_empty() {
                note("3 CPU down, s/GiB", (between - before) / gib);
                note("4 CPU up, s/GiB", (after - between) / gib);
                note(
                    "5 peak of client half in bulk, MiB",
                    usage::peak(&peer.near),
                );
            }
            note("6 ping-pong p50, µs", load::ping(port, plan.pings)?);
            note("7 set-up p50, µs", load::set_up(port, plan.set_ups)?);
            if full {
                usage::forget(&both);
                let (rate, failed) = load::many(port, plan.connections, 2 << 20);
                note("8 200 at once, MB/s", rate);
                note("9 of these failed", failed as f64);
                if !both.is_empty() {
                    note("a peak of client half, 200, MiB", usage::peak(&peer.near));
                }
            }
        }
    }
    Ok(figures)
}

fn show(figures: &Figures, least: &str) {
    println!("| figure | peer | median | least–most | × ssh -L | × {least} |");
    println!("|---|---|---|---|---|---|");
    for ((what, peer), values) in figures {
        let mut sorted = values.clone();
        let middle = load::median(&mut sorted);
        let ratio = |base: &str| {
            let mut ratios: Vec<f64> = figures
                .get(&(*what, base))
                .into_iter()
                .flat_map(|base| values.iter().zip(base).map(|(value, base)| value / base))
                .collect();
            load::median(&mut ratios)
        };
        let (to_ssh, to_least) = (ratio(SSH), ratio(least));
        let (from, to) = (
            sorted.first().unwrap_or(&0.0),
            sorted.last().unwrap_or(&0.0),
        );
        println!(
            "| {} | {peer} | {middle:.2} | {from:.2}–{to:.2} | {to_ssh:.2} | {to_least:.2} |",
            &what[2..]
        );
    }
}
