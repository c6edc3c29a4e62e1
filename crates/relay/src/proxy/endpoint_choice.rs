//! Which endpoint of an environment a request tries next.

use judgement::traffic::Environment;
use memory::clock;
use memory::counters::AttemptFailure;
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

    /// Moves to the next endpoint: in rotation, with those that rest last. `turn` gives the start, and is called once.
    pub fn advance(&mut self, endpoints: &[Endpoint], turn: impl FnOnce() -> usize) {
        let many = endpoints.len();
        if many < 2 {
            self.current = 0;
            return;
        }
        let first = *self.first.get_or_insert_with(|| turn() % many);
        let new = (first..first + many).map(|at| at % many).filter(|at| self.failed >> (at % 64) & 1 == 0);
        let awake = |at: &usize| endpoints.get(*at).is_some_and(|endpoint| !endpoint.rest.is_on(clock::now));
        self.current = new.clone().find(awake).or_else(|| new.clone().next()).unwrap_or(first);
    }

    /// The current endpoint accepted no connection; returns whether another one may be tried.
    pub fn connect_failed(&mut self, failure: AttemptFailure, endpoints: &[Endpoint]) -> bool {
        self.connect_failure.get_or_insert(failure);
        self.failed |= 1 << (self.current % 64);
        self.connects += 1;
        usize::from(self.connects) < endpoints.len().min(usize::from(MAX_CONNECTS))
    }

    /// The current endpoint broke off; returns whether another one may be tried.
    pub fn broke_off(&mut self, endpoints: &[Endpoint]) -> bool {
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
