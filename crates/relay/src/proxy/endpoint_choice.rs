//! Which endpoint of an environment a request tries next.

use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{AttemptFailure, EndpointSlot};
use memory::snapshot::Endpoint;

/// Endpoints of one environment that a request tries to connect to.
const MAX_CONNECTS: u8 = 3;
/// Kept connections that turn out to be closed before that counts as a failure.
const MAX_STALE: u8 = 2;

/// A request's way through the endpoints of one environment; a rescue begins another.
#[derive(Debug)]
pub struct EndpointChoice {
    environment: Environment,
    /// The index of the current attempt's endpoint.
    current: usize,
    /// Where this request's rotation begins.
    first: Option<usize>,
    connects: u8,
    stale: u8,
    broken: u8,
    /// The endpoints that accepted no connection, one bit each; beyond 64 they may be tried twice.
    failed: u64,
    /// Why the first endpoint accepted no connection: the last one may only be an address that nothing listens on.
    pub connect_failure: Option<AttemptFailure>,
    /// The request is one of those that the current endpoint takes at once, if that is limited.
    slot: Option<EndpointSlot>,
}

impl EndpointChoice {
    pub const fn new(environment: Environment) -> EndpointChoice {
        EndpointChoice {
            environment,
            current: 0,
            first: None,
            connects: 0,
            stale: 0,
            broken: 0,
            failed: 0,
            connect_failure: None,
            slot: None,
        }
    }

    pub const fn environment(&self) -> Environment {
        self.environment
    }

    pub fn current<'e>(&self, endpoints: &'e [Endpoint]) -> Option<&'e Endpoint> {
        endpoints.get(self.current)
    }

    /// The place of the current endpoint, if there are any.
    pub const fn place(&self, endpoints: &[Endpoint]) -> Option<usize> {
        if self.current < endpoints.len() { Some(self.current) } else { None }
    }

    /// Moves to the next endpoint: in rotation, with those that rest last, and before them those that have as many requests
    /// as they take. One that has taken the request is kept. `own`: the one that the client has a connection to of its own. `turn`
    /// gives the start, and is called once.
    pub fn advance(&mut self, endpoints: &[Endpoint], own: Option<usize>, turn: impl FnOnce() -> usize) {
        let many = endpoints.len();
        if self.slot.is_some() {
            return;
        }
        if many < 2 {
            self.current = 0;
            return;
        }
        if let Some(own) = own.filter(|own| self.failed >> (own % 64) & 1 == 0) {
            self.current = own;
            return;
        }
        let first = *self.first.get_or_insert_with(|| turn() % many);
        let new = (first..first + many).map(|at| at % many).filter(|at| self.failed >> (at % 64) & 1 == 0);
        let awake = |at: &usize| endpoints.get(*at).is_some_and(|endpoint| !endpoint.rest.is_on(clock::now));
        let has_room = |at: &usize| awake(at) && endpoints.get(*at).is_some_and(Endpoint::has_room);
        let best = new.clone().find(has_room).or_else(|| new.clone().find(awake)).or_else(|| new.clone().next());
        self.current = best.unwrap_or(first);
    }

    /// The endpoints that are as good as the current one, which come with it in rotation.
    pub fn equals(&self, endpoints: &[Endpoint]) -> Vec<usize> {
        let (many, first) = (endpoints.len(), self.first.unwrap_or_default());
        let is_awake = |at: usize| endpoints.get(at).is_some_and(|endpoint| !endpoint.rest.is_on(clock::now));
        let is_new = |at: usize| self.failed >> (at % 64) & 1 == 0;
        let alike = |at: &usize| is_new(*at) == is_new(self.current) && is_awake(*at) == is_awake(self.current);
        (first..first + many).map(|at| at % many).filter(alike).collect()
    }

    /// The request is one of those that this endpoint takes at once.
    pub fn take(&mut self, place: usize, slot: EndpointSlot) {
        (self.current, self.slot) = (place, Some(slot));
    }

    pub const fn slot(&self) -> Option<&EndpointSlot> {
        self.slot.as_ref()
    }

    pub const fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// The endpoint has nothing more to do with the request.
    pub fn leave(&mut self) {
        self.slot = None;
    }

    /// The current endpoint accepted no connection; returns whether another one may be tried.
    pub fn connect_failed(&mut self, failure: AttemptFailure, endpoints: &[Endpoint]) -> bool {
        self.leave();
        self.connect_failure.get_or_insert(failure);
        self.failed |= 1 << (self.current % 64);
        self.connects += 1;
        usize::from(self.connects) < endpoints.len().min(usize::from(MAX_CONNECTS))
    }

    /// The current endpoint broke off; returns whether another one may be tried.
    pub fn broke_off(&mut self, endpoints: &[Endpoint]) -> bool {
        self.leave();
        self.failed |= 1 << (self.current % 64);
        self.broken += 1;
        endpoints.len() > 1 && self.broken <= 1
    }

    /// Kept connections have turned out to be closed: the next one must be new.
    pub const fn needs_a_new_connection(&self) -> bool {
        self.stale > 0
    }

    /// The kept connection was already closed; returns whether another connection may be tried.
    pub const fn stale_connection(&mut self) -> bool {
        self.stale += 1;
        self.stale <= MAX_STALE
    }
}
