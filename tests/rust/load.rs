//! What the engine bears. Figures are only worth something from a release build on an idle machine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::computer::Computer;
use tests::manager::Manager;
use tests::process::{figure, run};

/// Signed requests in a second, over [`CONNECTIONS`], on two cores.
const REQUESTS: f64 = 20_000.0;
const CONNECTIONS: usize = 32;
/// Keypairs that sign them, and requests that are signed before the first is sent.
const SIGNERS: usize = 8;
const REQUESTS_KEPT: usize = 60_000;
/// A list of 100 of 10,000 sessions, 30 fields each, median.
const LIST: Duration = Duration::from_millis(3);
/// By how much the list is to be faster than that of the server that [`PEER`] names.
const RATIO: f64 = 8.0;
/// `http://host:port/path` of another GraphQL server that lists as many sessions, to be measured in
/// turns with the engine.
const PEER: &str = "GANGWAY_BENCH_PEER";
/// Its query for the list, with the variables `$limit` and `$offset`.
const PEER_QUERY: &str = "GANGWAY_BENCH_PEER_QUERY";

/// One connection that is kept open. Requests are signed before, so that nearly all the time is the
/// server's.
struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// To `http://host:port`.
    fn new(address: &str) -> Result<Self> {
        let host = address.strip_prefix("http://").context("address")?;
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(1 << 18, stream),
        })
    }

    /// Sends a request.
    fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(request)?)
    }

    /// Reads a whole answer.
    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').context("header")?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.send(request)?;
        self.answer()
    }
}

/// Answers in a second over [`CONNECTIONS`] connections. All are written to before the first is read:
/// the server has that many requests in hand, and this side costs a single thread.
fn rate<'a>(address: &str, time: Duration, mut next: impl FnMut() -> &'a [u8]) -> Result<f64> {
    let mut wires = (0..CONNECTIONS)
        .map(|_| Wire::new(address))
        .collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < time {
        for wire in &mut wires {
            wire.send(next())?;
        }
        for wire in &mut wires {
            wire.answer()?;
            count += 1;
        }
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// The owner's keypair and some more, none of which is held back by its own limit.
fn signers(computer: &Computer) -> Result<Vec<Manager>> {
    let first = Manager::of(computer)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut signers = vec![first.clone()];
    for _ in 1..SIGNERS {
        let query = "mutation { create_keypair(user_id: \"root@localhost\", props: {
            is_active: true, is_admin: false, resource_policy: \"default\", rate_limit: 2000000000,
        }) { ok msg keypair { access_key secret_key } } }";
        let query = json!({ "query": query });
        let answer = runtime.block_on(first.post("/admin/gql", &query))?.ok()?;
        let keypair = &answer["data"]["create_keypair"]["keypair"];
        let text = |key: &str| keypair[key].as_str().with_context(|| answer.to_string());
        signers.push(Manager::at(
            &first.endpoint,
            text("access_key")?,
            text("secret_key")?,
        )?);
    }
    Ok(signers)
}

/// No two of them are the same: keypairs, paths and dates differ, and with them every signature.
fn signed_requests(signers: &[Manager], paths: &[&str]) -> Result<Vec<Vec<u8>>> {
    (0..REQUESTS_KEPT)
        .map(|number| {
            let path = paths[number % paths.len()];
            let path = format!("{path}?id=nobody-{number}");
            signers[number % signers.len()].raw("GET", &path, "")
        })
        .collect()
}

#[test]
#[ignore = "long, and for release builds"]
fn signed_calls() -> Result<()> {
    let computer = Computer::logged_in()?;
    let signers = signers(&computer)?;
    let over = |paths: &[&str]| -> Result<f64> {
        let requests = signed_requests(&signers, paths)?;
        let mut next = requests.iter().cycle();
        rate(&signers[0].endpoint, Duration::from_secs(5), || {
            next.next().map_or(&[][..], Vec::as_slice)
        })
    };
    // What is signed costs something of its own: the bar is for the signature.
    let rate = over(&["/auth"])?;
    let database = over(&["/session/_/match"])?;
    figure(
        "signed calls each of which asks the database for a session",
        "",
        format!("{database:.0}/s"),
    );
    let mixed = over(&["/auth", "/config/resource-slots", "/session/_/match"])?;
    figure(
        "the same with questions to the database among them",
        "",
        format!("{mixed:.0}/s"),
    );
    figure(
        &format!(
            "signed REST calls over {CONNECTIONS} connections, {SIGNERS} keypairs, all different"
        ),
        &format!("{REQUESTS:.0}/s"),
        format!("{rate:.0}/s"),
    );
    ensure!(rate >= REQUESTS, "{rate:.0}/s is under {REQUESTS}/s");
    Ok(())
}

/// The fields of the list: what the session page of the official web console asks for.
const FIELDS: &str = "id name type status image cluster_mode cluster_size domain_name group_name \
    user_email access_key occupied_slots requested_slots created_at terminated_at starts_at \
    startup_command tag result status_info scaling_group service_ports mounts vfolder_mounts \
    num_queries priority agent_ids main_kernel_id architecture full_name";

/// Copies of one session that is over, with its kernel.
const COPY: &str = "
import sqlite3, sys, uuid
db = sqlite3.connect(sys.argv[1])
for table in ('session', 'kernel'):
    columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
    globals()[table] = (columns, list(db.execute(f'SELECT * FROM {table}').fetchone()))
for number in range(int(sys.argv[2])):
    ids = {table: str(uuid.uuid4()) for table in ('session', 'kernel')}
    for table in ('session', 'kernel'):
        columns, row = globals()[table]
        row = dict(zip(columns, row), id=ids[table])
        if table == 'session':
            row.update(name=f'copy-{number}', created_at=row['created_at'] + number)
        else:
            row.update(session=ids['session'])
        marks = ','.join('?' * len(columns))
        db.execute(f'INSERT INTO {table} VALUES ({marks})', [row[column] for column in columns])
db.commit()
";

#[test]
#[ignore = "long, and for release builds"]
fn list_of_sessions() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.launch("first", &[])?;
    computer.gangway(&["session", "rm", "--yes", "--force", "first"])?;
    computer.gangway(&["engine", "stop"])?;
    let database = computer.home().path("gangway/data/engine/engine.db");
    run(Command::new("python3")
        .args(["-c", COPY])
        .arg(database)
        .arg("9999"))?;
    computer.gangway(&["engine", "start"])?;
    let manager = Manager::of(&computer)?;
    let query = format!(
        "query($limit:Int!,$offset:Int!){{compute_session_list(limit:$limit,offset:$offset)\
         {{items{{{FIELDS}}} total_count}}}}"
    );
    let body = page_of(&query);
    let request = manager.raw("POST", "/admin/gql", &body)?;
    let mut wire = Wire::new(&manager.endpoint)?;
    let answer: Value = serde_json::from_slice(&wire.ask(&request)?)?;
    let list = &answer["data"]["compute_session_list"];
    ensure!(list["total_count"] == 10_000, "{answer}");
    ensure!(list["items"].as_array().is_some_and(|it| it.len() == 100));
    let (median, worst) = times(&mut wire, &request)?;
    figure(
        "GraphQL list of 100 of 10,000 sessions, 30 fields, p50",
        &format!("{LIST:?}"),
        format!("{median:.1?} (99 %: {worst:.1?})"),
    );
    if let Some(address) = std::env::var_os(PEER) {
        let address = address.into_string().unwrap_or_default();
        against(&address, &manager.endpoint, &request)?;
    }
    ensure!(median <= LIST, "{median:?} is over {LIST:?}");
    Ok(())
}

fn page_of(query: &str) -> String {
    json!({ "query": query, "variables": { "limit": 100, "offset": 0 } }).to_string()
}

/// Median and 99 % of 300 answers one after the other.
fn times(wire: &mut Wire, request: &[u8]) -> Result<(Duration, Duration)> {
    let mut times = Vec::new();
    for _ in 0..300 {
        let begun = Instant::now();
        wire.ask(request)?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}

/// The same list of another server, in turns with ours.
fn against(address: &str, endpoint: &str, ours: &[u8]) -> Result<()> {
    let query = std::env::var(PEER_QUERY).context(PEER_QUERY)?;
    let rest = address.strip_prefix("http://").context(PEER)?;
    let (host, path) = rest.split_once('/').context(PEER)?;
    let (base, body) = (format!("http://{host}"), page_of(&query));
    let theirs = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let theirs = theirs.as_bytes();
    let time = Duration::from_secs(3);
    let (mut alone, mut many) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let our_median = times(&mut Wire::new(endpoint)?, ours)?.0;
        let their_median = times(&mut Wire::new(&base)?, theirs)?.0;
        alone.push(their_median.as_secs_f64() / our_median.as_secs_f64());
        many.push(rate(endpoint, time, || ours)? / rate(&base, time, || theirs)?);
    }
    alone.sort_by(f64::total_cmp);
    many.sort_by(f64::total_cmp);
    let (alone, many) = (alone[1], many[1]);
    figure(
        "the same list against another server, × as fast",
        &format!("{RATIO}"),
        format!("{alone:.1} one after the other, {many:.1} over {CONNECTIONS} connections"),
    );
    ensure!(many >= RATIO, "{many:.1} × is under {RATIO} ×");
    Ok(())
}

/// What a process holds: open files, threads, and memory in KiB.
fn held(pid: u64) -> Result<(usize, usize, u64)> {
    let count =
        |what: &str| -> Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/{what}"))?.count()) };
    let status = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .context("Pss")?;
    let memory = line.split_whitespace().nth(1).context("Pss")?.parse()?;
    Ok((count("fd")?, count("task")?, memory))
}

/// Sessions of users who are away, at once.
const IDLE: usize = 100;

/// Processor time of all processes of the home since their start, in seconds, and the memory that
/// they hold, in MiB.
fn cost(computer: &Computer) -> Result<(f64, f64)> {
    let (mut ticks, mut memory) = (0.0, 0.0);
    for (pid, _) in computer.processes() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        ticks += fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        memory += held(pid)?.2 as f64 / 1024.0;
    }
    Ok((ticks / 100.0, memory))
}

/// Processes that only sessions have.
fn of_sessions(computer: &Computer) -> Vec<(u64, String)> {
    let mut processes = computer.processes();
    processes.retain(|(_, command)| {
        ["gangway-runner", "bwrap", "pasta"]
            .iter()
            .any(|program| command.contains(program))
    });
    processes
}

#[test]
#[ignore = "long, and for release builds"]
fn a_hundred_idle_sessions() -> Result<()> {
    let computer = Computer::logged_in()?;
    computer.gangway(&["engine", "stop"])?;
    let config = computer.home().path("gangway/config/config.toml");
    let before = fs::read_to_string(&config).unwrap_or_default();
    let overcommitted = format!("cpu_overcommit = {IDLE}\nmem_overcommit = {IDLE}\n{before}");
    fs::write(&config, overcommitted)?;
    computer.gangway(&["engine", "start"])?;
    let begun = Instant::now();
    for number in 0..IDLE {
        computer.launch(&format!("idle-{number}"), &[])?;
    }
    let launched = begun.elapsed();
    let (begin, _) = cost(&computer)?;
    let rest = Duration::from_secs(20);
    std::thread::sleep(rest);
    let (end, memory) = cost(&computer)?;
    figure(
        &format!("{IDLE} idle sessions at once"),
        "",
        format!(
            "launched in {launched:.1?}, {memory:.0} MiB in all, {:.1} % of a core",
            100.0 * (end - begin) / rest.as_secs_f64()
        ),
    );
    ensure!(
        of_sessions(&computer).len() >= IDLE,
        "{:?}",
        of_sessions(&computer)
    );
    for number in [0, IDLE / 2, IDLE - 1] {
        let name = format!("idle-{number}");
        let said = computer.gangway(&["session", "exec", &name, "--", "echo", &name])?;
        ensure!(said.to_string().contains(&name), "{said}");
    }
    for number in 0..IDLE {
        computer.gangway(&["session", "rm", "--yes", &format!("idle-{number}")])?;
    }
    let left = of_sessions(&computer);
    ensure!(left.is_empty(), "still running: {left:?}");
    Ok(())
}

#[test]
#[ignore = "long, and for release builds"]
fn a_thousand_sessions_leave_nothing() -> Result<()> {
    let count: usize = std::env::var("GANGWAY_STARTS")
        .ok()
        .map_or(Ok(1000), |it| it.parse())?;
    let computer = Computer::logged_in()?;
    let pid = computer.engine()?["pid"].as_u64().context("pid")?;
    let round = |number: usize| -> Result<()> {
        let name = format!("round-{number}");
        computer.launch(&name, &[])?;
        computer.gangway(&["session", "rm", "--yes", &name])?;
        Ok(())
    };
    for number in 0..20 {
        round(number)?;
    }
    let before = held(pid)?;
    for number in 20..20 + count {
        round(number)?;
    }
    let after = held(pid)?;
    figure(
        &format!("{count} sessions launched and ended"),
        "no leak",
        format!(
            "open files {} → {}, threads {} → {}, memory {:.1} → {:.1} MiB",
            before.0,
            after.0,
            before.1,
            after.1,
            before.2 as f64 / 1024.0,
            after.2 as f64 / 1024.0
        ),
    );
    ensure!(after.0 <= before.0 + 8, "open files: {before:?} {after:?}");
    ensure!(after.1 <= before.1 + 8, "threads: {before:?} {after:?}");
    ensure!(
        after.2 <= before.2 + 20 * 1024,
        "memory: {before:?} {after:?}"
    );
    let left = of_sessions(&computer);
    ensure!(left.is_empty(), "still running: {left:?}");
    Ok(())
}
