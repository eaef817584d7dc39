//! The agents of one cycle, kept so that the best one for a request is found without looking at all.
//!
//! Slot names become places in a list, and requests that ask for the same kinds of slots share one
//! order of the agents. In a cycle agents only ever get fuller: one that can't take the least that
//! anybody of a class asks for leaves the order for good.

use std::collections::{BTreeSet, HashMap};

use protocol::slots::{Quantity, ResourceSlots};

use crate::snapshot::{Agent, AgentChoice, Snapshot};

/// Amounts by the place of their slot.
type Amounts = Box<[Quantity]>;

/// What one agent has to give at once.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    class: usize,
    amounts: Amounts,
    /// How many kernels it is.
    containers: usize,
}

pub(crate) struct Pool<'a> {
    /// The slot of each place.
    names: Vec<&'a str>,
    architectures: Vec<&'a str>,
    /// For each precious prefix the places that it stands for.
    precious: Vec<Vec<usize>>,
    choice: AgentChoice,
    hosts: Vec<Host<'a>>,
    classes: Vec<Class>,
    /// Behind the one that round robin took last.
    next: usize,
    /// What was found to be missing since an agent last changed, by request.
    missing: HashMap<(usize, usize, Amounts), Missing<'a>>,
}

/// What the agent that comes nearest lacks, by slot.
pub(crate) type Missing<'a> = Vec<(&'a str, Quantity)>;

pub(crate) struct Host<'a> {
    pub(crate) agent: &'a Agent,
    /// Its place among the architectures.
    architecture: usize,
    free: Amounts,
    containers: usize,
}

/// Requests that ask for the same kinds of slots on the same kind of agent.
struct Class {
    /// Its place among the architectures; `None` when no agent has it.
    architecture: Option<usize>,
    asks: Vec<bool>,
    least: Option<Amounts>,
    /// The best agent first; made when the first of the class is looked for.
    order: Option<BTreeSet<(Rank, usize)>>,
}

/// The lower, the better: the kinds of free slots that the request has no use for (an agent with
/// GPUs is not for work without), then the room by slot priority. The place in the list of agents,
/// which is by id, settles the rest.
pub(crate) type Rank = (usize, [Quantity; PRECIOUS]);

/// So many prefixes count, the first ones; nobody can tell the rest apart.
const PRECIOUS: usize = 6;

impl<'a> Pool<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let slots = snapshot
            .agents
            .iter()
            .flat_map(|agent| agent.capacity.0.keys());
        for slot in slots {
            if !names.contains(&slot.as_str()) {
                names.push(slot);
            }
        }
        for session in &snapshot.waiting {
            for slot in session
                .kernels
                .iter()
                .flat_map(|kernel| kernel.slots.0.keys())
            {
                if !names.contains(&slot.as_str()) {
                    names.push(slot);
                }
            }
        }
        // `cuda` stands for `cuda.device`, `cuda.shares` and the like.
        let places = |prefix: &String| {
            (0..names.len())
                .filter(|place| names[*place].split('.').next() == Some(prefix))
                .collect()
        };
        let mut precious: Vec<Vec<usize>> = snapshot.slot_priority.iter().map(places).collect();
        precious.retain(|places| !places.is_empty());
        let mut architectures: Vec<&str> = Vec::new();
        for agent in &snapshot.agents {
            if !architectures.contains(&agent.architecture.as_str()) {
                architectures.push(&agent.architecture);
            }
        }
        let mut agents: Vec<&Agent> = snapshot.agents.iter().collect();
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        let hosts: Vec<_> = agents
            .into_iter()
            .map(|agent| Host {
                agent,
                architecture: architectures
                    .iter()
                    .position(|it| *it == agent.architecture)
                    .unwrap_or_default(),
                free: names
                    .iter()
                    .map(|slot| agent.capacity.get(slot).minus(agent.occupied.get(slot)))
                    .collect(),
                containers: agent.containers,
            })
            .collect();
        let next = snapshot.last_agent.as_ref().map_or(0, |last| {
            hosts.partition_point(|host| host.agent.id <= *last)
        });
        Self {
            names,
            architectures,
            precious,
            choice: snapshot.choice,
            hosts,
            classes: Vec::new(),
            next,
            missing: HashMap::new(),
        }
    }

    /// Makes a request; all of them are made before the first is looked for.
    pub(crate) fn request(
        &mut self,
        architecture: &str,
        slots: &ResourceSlots,
        containers: usize,
    ) -> Request {
        let amounts: Amounts = self.names.iter().map(|slot| slots.get(slot)).collect();
        let asks = |place: usize| amounts[place] != Quantity::ZERO;
        let architecture = self.architecture(architecture);
        let same = |class: &Class| {
            class.architecture == architecture
                && class
                    .asks
                    .iter()
                    .enumerate()
                    .all(|(at, it)| asks(at) == *it)
        };
        let class = match self.classes.iter().position(same) {
            Some(class) => class,
            None => {
                self.classes.push(Class {
                    architecture,
                    asks: (0..amounts.len()).map(asks).collect(),
                    least: None,
                    order: None,
                });
                self.classes.len() - 1
            }
        };
        let least = &mut self.classes[class].least;
        match least {
            None => *least = Some(amounts.clone()),
            Some(least) => {
                for (least, amount) in least.iter_mut().zip(&amounts) {
                    *least = (*least).min(*amount);
                }
            }
        }
        Request {
            class,
            amounts,
            containers,
        }
    }

    fn architecture(&self, name: &str) -> Option<usize> {
        self.architectures.iter().position(|it| *it == name)
    }

    /// Whether some agent has this architecture.
    pub(crate) fn has_architecture(&self, name: &str) -> bool {
        self.architecture(name).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(crate) fn hosts(&self) -> &[Host<'a>] {
        &self.hosts
    }

    /// The agents of these ids, by place.
    pub(crate) fn named(&self, architecture: &str, ids: &[String]) -> Vec<usize> {
        let mut places: Vec<usize> = ids
            .iter()
            .filter_map(|id| self.place_of(id))
            .filter(|place| self.hosts[*place].agent.architecture == architecture)
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The best agent with room for the request, among `only` if that is given.
    pub(crate) fn choose(&mut self, request: &Request, only: Option<&[usize]>) -> Option<usize> {
        if let Some(only) = only {
            let fitting = only.iter().copied();
            return fitting
                .filter(|place| self.hosts[*place].takes(request))
                .min_by_key(|place| (self.rank(*place, request.class), *place));
        }
        if self.missing.contains_key(&request.key()) {
            return None;
        }
        if self.choice == AgentChoice::RoundRobin {
            let architecture = self.classes[request.class].architecture;
            let found = (self.next..self.hosts.len())
                .chain(0..self.next)
                .find(|place| {
                    let host = &self.hosts[*place];
                    Some(host.architecture) == architecture && host.takes(request)
                })?;
            self.next = found + 1;
            return Some(found);
        }
        self.arrange(request.class);
        let order = self.classes[request.class].order.as_ref()?;
        order
            .iter()
            .map(|(_, place)| *place)
            .find(|place| self.hosts[*place].takes(request))
    }

    /// Takes a request out of an agent.
    pub(crate) fn take(&mut self, place: usize, request: &Request) {
        let containers = request.containers.cast_signed();
        self.change(place, &request.amounts, Quantity::minus, containers);
    }

    /// Gives a request back to an agent that was only tried.
    pub(crate) fn give_back(&mut self, place: usize, request: &Request) {
        let containers = request.containers.cast_signed();
        self.change(place, &request.amounts, Quantity::plus, -containers);
    }

    /// Counts what a session holds at an agent as free.
    pub(crate) fn lend(&mut self, place: usize, slots: &ResourceSlots, containers: usize) {
        let amounts = self.amounts(slots);
        self.change(place, &amounts, Quantity::plus, -containers.cast_signed());
    }

    /// Counts it as taken again.
    pub(crate) fn call_in(&mut self, place: usize, slots: &ResourceSlots, containers: usize) {
        let amounts = self.amounts(slots);
        self.change(place, &amounts, Quantity::minus, containers.cast_signed());
    }

    fn amounts(&self, slots: &ResourceSlots) -> Amounts {
        self.names.iter().map(|slot| slots.get(slot)).collect()
    }

    /// The place of an agent.
    pub(crate) fn place_of(&self, id: &str) -> Option<usize> {
        self.hosts
            .binary_search_by(|host| host.agent.id.as_str().cmp(id))
            .ok()
    }

    /// What an agent of the right kind lacks for a request, and how many kernels it has too many for
    /// it; `None` for an agent of another kind.
    pub(crate) fn lack(&self, place: usize, request: &Request) -> Option<(Missing<'a>, usize)> {
        let host = &self.hosts[place];
        if Some(host.architecture) != self.classes[request.class].architecture {
            return None;
        }
        let slots = (0..host.free.len())
            .filter(|at| too_much(request.amounts[*at], host.free[*at]))
            .map(|at| (self.names[at], request.amounts[at].minus(host.free[at])))
            .collect();
        let kernels = host.agent.max_containers.map_or(0, |max| {
            (host.containers + request.containers).saturating_sub(max)
        });
        Some((slots, kernels))
    }

    /// How good an agent is for a request, whether or not it has room: the lower, the better.
    pub(crate) fn fitness(&self, place: usize, request: &Request) -> Rank {
        self.rank(place, request.class)
    }

    /// What the agent lacks that comes nearest to having room, among `only` if that is given; nothing
    /// when all of them may take no more kernels.
    pub(crate) fn missing(&mut self, request: &Request, only: Option<&[usize]>) -> Missing<'a> {
        if let Some(only) = only {
            return self.nearest(request, only.iter().copied());
        }
        let key = request.key();
        if let Some(known) = self.missing.get(&key) {
            return known.clone();
        }
        let found = self.nearest(request, 0..self.hosts.len());
        self.missing.insert(key, found.clone());
        found
    }

    fn nearest(&self, request: &Request, places: impl Iterator<Item = usize>) -> Missing<'a> {
        let architecture = self.classes[request.class].architecture;
        let lacks = |place: usize| -> Missing<'a> {
            let free = &self.hosts[place].free;
            (0..free.len())
                .filter(|at| too_much(request.amounts[*at], free[*at]))
                .map(|at| (self.names[at], request.amounts[at].minus(free[at])))
                .collect()
        };
        let nearer = |a: &Missing<'_>, b: &Missing<'_>| {
            let fewer = a.len().cmp(&b.len());
            fewer.then_with(|| a.iter().map(|it| it.1).cmp(b.iter().map(|it| it.1)))
        };
        places
            .filter(|place| {
                let host = &self.hosts[*place];
                Some(host.architecture) == architecture && host.has_place(request.containers)
            })
            .map(lacks)
            .min_by(nearer)
            .unwrap_or_default()
    }

    fn arrange(&mut self, class: usize) {
        if self.classes[class].order.is_none() {
            let order = (0..self.hosts.len())
                .filter(|place| self.useful(*place, class))
                .map(|place| (self.rank(place, class), place))
                .collect();
            self.classes[class].order = Some(order);
        }
    }

    fn change(
        &mut self,
        place: usize,
        amounts: &[Quantity],
        amount: fn(Quantity, Quantity) -> Quantity,
        containers: isize,
    ) {
        if !self.missing.is_empty() {
            self.missing.clear();
        }
        let known: Vec<usize> = (0..self.classes.len())
            .filter(|class| self.classes[*class].order.is_some())
            .collect();
        for class in &known {
            let key = (self.rank(place, *class), place);
            if let Some(order) = &mut self.classes[*class].order {
                order.remove(&key);
            }
        }
        let host = &mut self.hosts[place];
        for (free, asked) in host.free.iter_mut().zip(amounts) {
            *free = amount(*free, *asked);
        }
        host.containers = host.containers.saturating_add_signed(containers);
        for class in known {
            if !self.useful(place, class) {
                continue;
            }
            let key = (self.rank(place, class), place);
            if let Some(order) = &mut self.classes[class].order {
                order.insert(key);
            }
        }
    }

    /// Whether an agent could take the least that anybody of a class asks for.
    fn useful(&self, place: usize, class: usize) -> bool {
        let (host, class) = (&self.hosts[place], &self.classes[class]);
        let fits = class.least.as_ref().is_none_or(|least| host.has(least));
        Some(host.architecture) == class.architecture && fits && host.has_place(1)
    }

    fn rank(&self, place: usize, class: usize) -> Rank {
        let (free, asks) = (&self.hosts[place].free, &self.classes[class].asks);
        let unused = match self.choice {
            AgentChoice::Legacy | AgentChoice::RoundRobin => 0,
            AgentChoice::Dispersed | AgentChoice::Concentrated => free
                .iter()
                .zip(asks)
                .filter(|(free, asked)| **free > Quantity::ZERO && !**asked)
                .count(),
        };
        let mut rank = [Quantity::ZERO; PRECIOUS];
        for (room, places) in rank.iter_mut().zip(&self.precious) {
            let sum = places
                .iter()
                .fold(Quantity::ZERO, |sum, at| sum.plus(free[*at]));
            *room = match self.choice {
                AgentChoice::Concentrated => sum,
                _ => Quantity::ZERO.minus(sum),
            };
        }
        (unused, rank)
    }
}

impl Request {
    fn key(&self) -> (usize, usize, Amounts) {
        (self.class, self.containers, self.amounts.clone())
    }
}

impl Host<'_> {
    fn has(&self, amounts: &[Quantity]) -> bool {
        self.free
            .iter()
            .zip(amounts)
            .all(|(free, amount)| !too_much(*amount, *free))
    }

    /// Whether it may take so many more kernels.
    fn has_place(&self, containers: usize) -> bool {
        self.agent
            .max_containers
            .is_none_or(|max| self.containers + containers <= max)
    }

    fn takes(&self, request: &Request) -> bool {
        self.has_place(request.containers) && self.has(&request.amounts)
    }
}

/// Nothing can always be had, also of what an agent has given too much of.
fn too_much(amount: Quantity, free: Quantity) -> bool {
    amount > Quantity::ZERO && amount > free
}
