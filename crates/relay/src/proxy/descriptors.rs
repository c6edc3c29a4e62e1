//! How the process's file descriptors are shared out: so many for clients, as many for origins, and some for the rest.

use config::ClientLimits;

/// What DNS, the state, the admin listener, health checks and logs need: a quarter of all, within these bounds.
const LEAST_RESERVED: u64 = 48;
const MOST_RESERVED: u64 = 128;
/// With fewer connections than this, a proxy is of no use.
const LEAST_CONNECTIONS: u64 = 16;

/// How many connections and requests there can be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorBudget {
    /// The limit of the process (`ulimit -n`), raised as far as it can be.
    pub descriptors: u64,
    /// Client connections: what the settings say, or as many as there can be.
    pub connections: u64,
    /// Requests at once, each with a connection to an origin: likewise.
    pub requests: u64,
}

impl DescriptorBudget {
    /// Raises the limit to the highest allowed, and shares it out.
    pub fn of_process(limits: &ClientLimits) -> DescriptorBudget {
        DescriptorBudget::of(raise_descriptor_limit(), limits)
    }

    fn of(descriptors: u64, limits: &ClientLimits) -> DescriptorBudget {
        let reserved = (descriptors / 4).clamp(LEAST_RESERVED, MOST_RESERVED);
        let half = descriptors.saturating_sub(reserved) / 2;
        let set = |typed: usize| if typed == 0 { half } else { typed as u64 };
        DescriptorBudget { descriptors, connections: set(limits.connections), requests: set(limits.requests_in_flight) }
    }

    /// Whether there is enough for a proxy to be of use.
    pub fn is_enough(&self) -> bool {
        self.connections.min(self.requests) >= LEAST_CONNECTIONS
            && self.descriptors >= LEAST_RESERVED + 2 * LEAST_CONNECTIONS
    }

    /// Whether the settings allow more than there are descriptors for.
    pub fn is_exceeded(&self) -> bool {
        self.connections.saturating_add(self.requests).saturating_add(LEAST_RESERVED) > self.descriptors
    }
}

/// Raises the limit of file descriptors to the highest allowed, and returns it.
fn raise_descriptor_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_origins_have_half_each_of_what_the_rest_leaves() {
        let defaults = ClientLimits::default();
        for (descriptors, connections, enough) in [
            (1_048_576, 524_224, true),
            (1024, 448, true),
            (128, 40, true),
            (80, 16, true),
            (79, 15, false),
            (40, 0, false),
        ] {
            let budget = DescriptorBudget::of(descriptors, &defaults);
            assert_eq!((budget.connections, budget.requests), (connections, connections), "{descriptors}");
            assert_eq!(
                (budget.is_enough(), budget.is_exceeded()),
                (enough, descriptors < LEAST_RESERVED),
                "{descriptors}"
            );
        }
        let set = ClientLimits { connections: 500, requests_in_flight: 700, ..defaults };
        let budget = DescriptorBudget::of(1024, &set);
        assert_eq!((budget.connections, budget.requests, budget.is_exceeded()), (500, 700, true));
    }
}
