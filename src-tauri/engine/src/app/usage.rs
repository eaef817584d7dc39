//! What was used when, and by whom (protocol page "Administrative REST" §3.2 and §3.3).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use protocol::slots::{CPU, MEM, Quantity};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::Problem;
use crate::state::App;
use crate::store::kernel::Kernel;
use crate::store::project::Project;
use crate::store::session::Session;
use crate::store::user::User;
use crate::store::{self, At};

/// The longest period that is answered, in days.
const LONGEST_DAYS: i32 = 100;
/// Points of the statistics of a month, and what one stands for.
const POINTS: usize = 2880;
const POINT: SignedDuration = SignedDuration::from_mins(15);

/// A span of days in the computer's own time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    start: Timestamp,
    end: Timestamp,
}

impl Period {
    /// The month that `YYYYMM` names.
    pub(crate) fn month(text: &str) -> Result<Self, Problem> {
        let unread = || Problem::invalid_params(format!("month: \"{text}\" is not YYYYMM"));
        let first = date(&format!("{text}01")).ok_or_else(unread)?;
        let next = first.checked_add(1.month()).map_err(|_| unread())?;
        Self::between(first, next).ok_or_else(unread)
    }

    /// Days from one `YYYYMMDD` to another, both included.
    pub(crate) fn days(start: &str, end: &str) -> Result<Self, Problem> {
        let read = |name: &str, text: &str| {
            date(text).ok_or_else(|| {
                Problem::invalid_params(format!("{name}: \"{text}\" is not YYYYMMDD"))
            })
        };
        let first = read("start_date", start)?;
        let last = read("end_date", end)?;
        let after = last
            .tomorrow()
            .map_err(|_| Problem::invalid_params("end_date: it is too late"))?;
        if after <= first {
            return Err(Problem::invalid_params(
                "end_date must be later than start_date.",
            ));
        }
        if first
            .until(after)
            .is_ok_and(|span| span.get_days() > LONGEST_DAYS)
        {
            return Err(Problem::invalid_params(format!(
                "Cannot query more than {LONGEST_DAYS} days"
            )));
        }
        Self::between(first, after)
            .ok_or_else(|| Problem::invalid_params("these days can't be counted"))
    }

    fn between(first: Date, after: Date) -> Option<Self> {
        let midnight = |day: Date| day.to_zoned(TimeZone::system()).ok();
        Some(Self {
            start: midnight(first)?.timestamp(),
            end: midnight(after)?.timestamp(),
        })
    }
}

fn date(text: &str) -> Option<Date> {
    (text.len() == 8)
        .then(|| Date::strptime("%Y%m%d", text).ok())
        .flatten()
}

/// A kernel with all that an account of it says.
struct Used {
    kernel: Kernel,
    session: Session,
    user: Option<User>,
    project: Option<Project>,
}

async fn used(app: &App, start: Timestamp, end: Timestamp) -> Result<Vec<Used>, Problem> {
    let mut found = app
        .store
        .read(move |db| -> Result<_, Problem> {
            let mut sessions: HashMap<Uuid, Option<Session>> = HashMap::new();
            let mut users: HashMap<Uuid, Option<User>> = HashMap::new();
            let mut projects: HashMap<Uuid, Option<Project>> = HashMap::new();
            let mut found = Vec::new();
            let (start, end) = (At(start), At(end));
            let mut kernels = store::kernel_run::between(db, start, end)?;
            kernels.extend(store::kernel::between(db, start, end)?);
            for kernel in kernels {
                let session = match sessions.entry(kernel.session) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(store::session::get(db, kernel.session)?),
                };
                let Some(session) = session.clone() else {
                    continue;
                };
                let user = match users.entry(session.user) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(store::user::get(db, session.user)?),
                };
                let project = match projects.entry(session.project) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(store::project::get(db, session.project)?),
                };
                found.push(Used {
                    kernel,
                    user: user.clone(),
                    project: project.clone(),
                    session,
                });
            }
            Ok(found)
        })
        .await?;
    for used in &mut found {
        if used.kernel.terminated_at.is_none() {
            used.kernel.last_stat = app.measured.get(used.kernel.id);
        }
    }
    Ok(found)
}

/// The account of a period: one entry for each project, with its containers.
pub(crate) async fn account(
    app: &App,
    period: Period,
    projects: &[Uuid],
) -> Result<Value, Problem> {
    let mut groups: BTreeMap<(String, Uuid), Group> = BTreeMap::new();
    for used in used(app, period.start, period.end).await? {
        let project = used.session.project;
        if !projects.is_empty() && !projects.contains(&project) {
            continue;
        }
        let name = used.project.as_ref().map(|project| project.name.clone());
        groups
            .entry((name.unwrap_or_default(), project))
            .or_default()
            .add(&used);
    }
    let groups = groups.into_iter().map(|((name, id), group)| {
        let mut record = Map::new();
        record.insert("domain_name".into(), json!(group.domain));
        record.insert("g_id".into(), json!(id));
        record.insert("g_name".into(), json!(name));
        for (name, sum) in group.sums {
            record.insert(format!("g_{name}"), json!(sum));
        }
        record.insert("g_device_type".into(), json!(group.devices));
        record.insert("c_infos".into(), json!(group.containers));
        Value::Object(record)
    });
    Ok(groups.collect())
}

/// What is summed up over containers.
const SUMMED: [&str; 12] = [
    "cpu_allocated",
    "cpu_used",
    "mem_allocated",
    "mem_used",
    "shared_memory",
    "disk_allocated",
    "disk_used",
    "io_read",
    "io_write",
    "smp",
    "gpu_mem_allocated",
    "gpu_allocated",
];

#[derive(Default)]
struct Group {
    domain: String,
    sums: BTreeMap<&'static str, f64>,
    devices: BTreeSet<String>,
    containers: Vec<Value>,
}

impl Group {
    fn add(&mut self, used: &Used) {
        let container = container(used);
        self.domain.clone_from(&used.session.domain);
        for name in SUMMED {
            let value = container.get(name).and_then(Value::as_f64);
            *self.sums.entry(name).or_default() += value.unwrap_or_default();
        }
        self.containers.push(container);
    }
}

/// A number of a kernel's statistics: the first of `keys` that is there.
fn stat(kernel: &Kernel, metric: &str, keys: &[&str]) -> f64 {
    let metric = kernel.last_stat.as_ref().and_then(|all| all.get(metric));
    keys.iter()
        .find_map(|key| metric?.get(key)?.as_str()?.parse().ok())
        .unwrap_or_default()
}

fn gpus(kernel: &Kernel) -> f64 {
    let slots = &kernel.occupied_slots;
    let fractions = slots.get("cuda.shares");
    if fractions > Quantity::ZERO {
        fractions.as_f64()
    } else {
        slots.get("cuda.device").as_f64()
    }
}

fn container(used: &Used) -> Value {
    let Used {
        kernel,
        session,
        user,
        project,
    } = used;
    let shmem = session.resource_opts.get("shmem").and_then(Value::as_str);
    let shmem: f64 = shmem.and_then(|text| text.parse().ok()).unwrap_or_default();
    let time = kernel
        .terminated_at
        .map(|end| end.0.duration_since(session.created_at.0));
    let days = kernel.terminated_at.and_then(|end| {
        let day = |at: At| at.0.to_zoned(TimeZone::system()).date();
        let span = day(session.created_at).until(day(end)).ok()?;
        Some(span.get_days() + 1)
    });
    let changed = session.status_history.get(session.status.as_str());
    let folders: Vec<&str> = session
        .mounts
        .iter()
        .map(|mount| mount.name.as_str())
        .collect();
    json!({
        "id": kernel.id,
        "session_id": session.id,
        "container_id": kernel.container_id,
        "domain_name": session.domain,
        "group_id": session.project,
        "group_name": project.as_ref().map(|project| &project.name),
        "name": session.name,
        "access_key": session.access_key,
        "email": user.as_ref().map(|user| &user.email),
        "full_name": user.as_ref().map(|user| &user.full_name),
        "agent": kernel.agent,
        "cpu_allocated": kernel.occupied_slots.get(CPU).as_f64(),
        "cpu_used": stat(kernel, "cpu_used", &["current"]),
        "mem_allocated": kernel.occupied_slots.get(MEM).floor(),
        "mem_used": stat(kernel, "mem", &["stats.max", "current"]),
        "shared_memory": shmem,
        "disk_allocated": 0,
        "disk_used": 0,
        "io_read": stat(kernel, "io_read", &["current"]),
        "io_write": stat(kernel, "io_write", &["current"]),
        "used_time": time.map(python_time),
        "used_days": days,
        "device_type": [],
        "smp": 0,
        "gpu_mem_allocated": 0,
        "gpu_allocated": gpus(kernel),
        "nfs": folders,
        "image_id": session.image,
        "image_name": session.image,
        "created_at": session.created_at.iso(),
        "terminated_at": kernel.terminated_at.map(At::iso),
        "status": kernel.status,
        "status_info": kernel.status_info,
        "status_changed": changed,
        "status_history": session.status_history,
        "cluster_mode": session.cluster_mode,
    })
}

/// Python's `str()` of a duration: `1 day, 2:03:04.000005`.
fn python_time(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut text = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    text.push_str(&format!(
        "{}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    ));
    match time.subsec_micros() {
        micros if micros > 0 => text.push_str(&format!(".{micros:06}")),
        _ => {}
    }
    text
}

/// The last 30 days in pieces of 15 minutes: of one user, or of all.
pub(crate) async fn month(app: &App, user: Option<Uuid>) -> Result<Vec<Value>, Problem> {
    let now = (app.clock)();
    let length = i64::from(u32::try_from(POINTS).unwrap_or(u32::MAX)) * POINT.as_secs();
    let start =
        now.as_second() - now.as_second().rem_euclid(POINT.as_secs()) - length + POINT.as_secs();
    let begin = Timestamp::from_second(start)
        .map_err(|_| Problem::internal("The computer's clock is wrong."))?;
    let mut points = vec![Point::default(); POINTS];
    for used in used(app, begin, now).await? {
        if user.is_some_and(|user| used.session.user != user) {
            continue;
        }
        let index = |at: Timestamp| {
            let passed = (at.as_second() - start).max(0) / POINT.as_secs();
            usize::try_from(passed).unwrap_or(0).min(POINTS - 1)
        };
        let first = index(used.kernel.started_at.map_or(now, |at| at.0));
        let last = index(used.kernel.terminated_at.map_or(now, |at| at.0));
        for point in points.get_mut(first..=last).unwrap_or_default() {
            point.add(&used);
        }
    }
    Ok(points
        .iter()
        .zip(0_i64..)
        .map(|(point, at)| point.record(start + at * POINT.as_secs()))
        .collect())
}

/// One point of the statistics of a month.
#[derive(Debug, Clone, Default)]
struct Point {
    sessions: BTreeSet<Uuid>,
    cpu: f64,
    mem: u64,
    gpu: f64,
    read: f64,
    written: f64,
}

impl Point {
    fn add(&mut self, used: &Used) {
        self.sessions.insert(used.session.id);
        self.cpu += used.kernel.occupied_slots.get(CPU).as_f64();
        self.mem += used.kernel.occupied_slots.get(MEM).floor();
        self.gpu += gpus(&used.kernel);
        self.read += stat(&used.kernel, "io_read", &["current"]);
        self.written += stat(&used.kernel, "io_write", &["current"]);
    }

    fn record(&self, second: i64) -> Value {
        let value = |value: Value, unit: &str| json!({ "value": value, "unit_hint": unit });
        json!({
            "date": json!(second),
            "num_sessions": value(json!(self.sessions.len()), "count"),
            "cpu_allocated": value(json!(self.cpu), "count"),
            "mem_allocated": value(json!(self.mem), "bytes"),
            "gpu_allocated": value(json!(self.gpu), "count"),
            "io_read_bytes": value(json!(self.read), "bytes"),
            "io_write_bytes": value(json!(self.written), "bytes"),
            "disk_used": value(json!(0), "bytes"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_whole_days() {
        let month = Period::month("202402").unwrap();
        let days = Period::days("20240201", "20240229").unwrap();
        assert_eq!(month, days);
        assert!(Period::month("2024-2").is_err());
        assert!(Period::month("202413").is_err());
        assert!(Period::days("20240202", "20240131").is_err());
        assert!(Period::days("20240101", "20240601").is_err());
        assert!(Period::days("20240101", "20240101").is_ok());
    }

    #[test]
    fn durations_as_python_prints_them() {
        let time = |seconds, nanos| python_time(SignedDuration::new(seconds, nanos));
        assert_eq!(time(62, 0), "0:01:02");
        assert_eq!(time(86_400 + 3723, 5000), "1 day, 1:02:03.000005");
        assert_eq!(time(2 * 86_400, 0), "2 days, 0:00:00");
    }
}
