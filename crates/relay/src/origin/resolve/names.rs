//! Looks names up as the C library does: the hosts file first, then the name servers of resolv.conf, by its search list
//! and `ndots`. Unlike the C library, it says how long an answer may be used.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::task::JoinSet;
use tokio::time::timeout;

use judgement::time::Millis;
use memory::clock;

/// The bounds of a TTL: 0 must not become a busy loop, and a day must not outlast a move.
const SHORTEST: Millis = Millis::seconds(1);
const LONGEST: Millis = Millis::seconds(300);
/// How long to use an answer of the system's resolver, which reports no TTL.
const SYSTEM_TTL: Millis = Millis::seconds(30);
/// The timeout of one name, all attempts together.
const PATIENCE: Duration = Duration::from_secs(2);
/// The timeout of a whole lookup, with every name of the search list.
const LONGEST_LOOKUP: Duration = Duration::from_secs(6);
/// How long an answer for IPv4 waits for the one for IPv6. Some firewalls and name servers drop these queries, and an
/// origin that is known must not wait for them.
const GRACE: Duration = Duration::from_millis(200);
/// How long to wait for IPv6 if a name exists and has no IPv4 address.
const IPV6_ALONE: Duration = Duration::from_secs(1);
/// The most addresses of a name that are used.
const MOST_ADDRESSES: usize = 16;

/// Where addresses come from.
#[derive(Clone, Debug)]
pub enum NameResolver {
    Dns(Arc<DnsResolver>),
    /// Without a resolv.conf: the C library, which reports no TTLs.
    System,
}

/// The addresses of a name, and when to look it up again.
#[derive(Debug)]
pub struct ResolvedName {
    pub addresses: BTreeSet<IpAddr>,
    /// On the monotonic clock.
    pub until: Millis,
}

/// Addresses as they were answered, and until when they may be used.
type Found = (Vec<IpAddr>, Millis);

impl NameResolver {
    /// What this system uses. Must be called within the runtime that will do the lookups.
    pub fn of_system() -> NameResolver {
        let hosts = Hosts::from_system().unwrap_or_default();
        match read_system_conf().and_then(|(config, options)| DnsResolver::new(config, options, hosts)) {
            Ok(dns) => NameResolver::Dns(Arc::new(dns)),
            Err(error) => {
                tracing::warn!(%error, "cannot read resolv.conf; using the system resolver");
                NameResolver::System
            }
        }
    }

    /// # Errors
    /// Why there is no address, in words.
    pub async fn look_up(&self, name: &str) -> Result<ResolvedName, String> {
        let now = clock::now();
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(ResolvedName { addresses: BTreeSet::from([address]), until: now.plus(LONGEST) });
        }
        let asked = async {
            match self {
                NameResolver::Dns(dns) => dns.look_up(name).await.map_err(|error| cause(&error)),
                NameResolver::System => {
                    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
                    Ok((found.map(|address| address.ip()).collect(), clock::now().plus(SYSTEM_TTL)))
                }
            }
        };
        let found = timeout(LONGEST_LOOKUP, asked).await;
        let (addresses, until) = found.unwrap_or_else(|_| Err("timed out".to_owned()))?;
        if addresses.is_empty() {
            return Err("no addresses".to_owned());
        }
        let now = clock::now();
        // Sorted by address, so that an answer in a different order is not a change.
        let addresses = addresses.into_iter().take(MOST_ADDRESSES).collect();
        Ok(ResolvedName { addresses, until: until.clamp(now.plus(SHORTEST), now.plus(LONGEST)) })
    }
}

/// Look-ups under way. A name that is not answered holds up no other, and none that is asked for later.
#[derive(Debug)]
pub struct NameLookups {
    resolver: NameResolver,
    tasks: JoinSet<(String, Result<ResolvedName, String>)>,
    asked: BTreeSet<String>,
}

impl NameLookups {
    pub fn new(resolver: NameResolver) -> NameLookups {
        NameLookups { resolver, tasks: JoinSet::new(), asked: BTreeSet::new() }
    }

    /// Asks for a name, unless that is under way.
    pub fn ask(&mut self, name: String) {
        if self.asked.insert(name.clone()) {
            let resolver = self.resolver.clone();
            self.tasks.spawn(async move {
                let found = resolver.look_up(&name).await;
                (name, found)
            });
        }
    }

    pub fn is_asked(&self, name: &str) -> bool {
        self.asked.contains(name)
    }

    /// The next one that ends; `None` if there is none.
    pub async fn next(&mut self) -> Option<(String, Result<ResolvedName, String>)> {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((name, found))) => {
                    self.asked.remove(&name);
                    return Some((name, found));
                }
                // It panicked, and took its name with it.
                Some(Err(_)) => {}
                None => {
                    self.asked.clear();
                    return None;
                }
            }
        }
    }
}

/// The name servers and the search list of a resolv.conf, and a hosts file.
#[derive(Debug)]
pub struct DnsResolver {
    /// Asked for absolute names alone: its own way through the search list differs from the C library's.
    resolver: TokioResolver,
    hosts: Arc<Hosts>,
    search: Vec<Name>,
    ndots: usize,
}

impl DnsResolver {
    fn new(config: ResolverConfig, mut options: ResolverOpts, hosts: Hosts) -> Result<DnsResolver, NetError> {
        // Without a search list, it is the domain of this host (resolv.conf(5)).
        let search = match config.search() {
            [] => config.domain().cloned().into_iter().collect(),
            search => search.to_vec(),
        };
        let ndots = options.ndots;
        options.timeout = Duration::from_millis(800);
        options.attempts = 2;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let mut resolver = builder.with_options(options).build()?;
        let hosts = Arc::new(hosts);
        resolver.set_hosts(hosts.clone());
        Ok(DnsResolver { resolver, hosts, search, ndots })
    }

    async fn look_up(&self, name: &str) -> Result<Found, NetError> {
        let itself = absolute(name)?;
        // The hosts file knows names as they are written, and has the last word on them. `localhost` has addresses of
        // both kinds even if the file names only one.
        if !itself.is_localhost()
            && let Some(found) = self.in_hosts_file(&itself)
        {
            return Ok(found);
        }
        let (mut failure, mut silence) = (None, false);
        for candidate in candidates(name, &itself, &self.search, self.ndots) {
            if silence && candidate != itself {
                continue;
            }
            match self.ask(&candidate).await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    // Without an answer to one name, the next of the list may be another service's. Only the name as
                    // written is still tried.
                    silence |= !is_answer(&error);
                    // That a name does not exist says less than anything else.
                    if failure.as_ref().is_none_or(NetError::is_nx_domain) {
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure.unwrap_or(NetError::Message("no such name")))
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Found> {
        let of_kind = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        together([RecordType::A, RecordType::AAAA].into_iter().filter_map(of_kind))
    }

    /// Asks for both kinds of addresses at once. What is known by IPv4 waits for IPv6 only for a moment; the other way
    /// round it waits to the end, because many hosts have no way to the IPv6 addresses that they know.
    async fn ask(&self, name: &Name) -> Result<Found, NetError> {
        let mut ipv4 = pin!(timeout(PATIENCE, self.resolver.ipv4_lookup(name.clone())));
        let mut ipv6 = pin!(timeout(PATIENCE, self.resolver.ipv6_lookup(name.clone())));
        let mut early = None;
        let of_ipv4 = loop {
            tokio::select! {
                answer = &mut ipv4 => break answer.unwrap_or(Err(NetError::Timeout)),
                answer = &mut ipv6, if early.is_none() => early = Some(answer),
            }
        };
        let wait = match &of_ipv4 {
            Ok(_) => GRACE,
            Err(error) if error.is_nx_domain() => GRACE,
            Err(error) if is_answer(error) => IPV6_ALONE,
            Err(_) => PATIENCE,
        };
        let of_ipv6 = match early {
            Some(answer) => Ok(answer),
            None => timeout(wait, ipv6).await,
        };
        let of_ipv6 = of_ipv6.ok().and_then(Result::ok);
        let failure = of_ipv4.as_ref().err().cloned();
        let answers = of_ipv4.into_iter().chain(of_ipv6.into_iter().flatten());
        together(answers).ok_or_else(|| failure.unwrap_or(NetError::Message("the name has no addresses")))
    }
}

/// All addresses of several answers; `None` if there is none.
fn together(answers: impl Iterator<Item = Lookup>) -> Option<Found> {
    let (mut addresses, mut until) = (Vec::new(), None);
    for answer in answers {
        addresses.extend(answer.answers().iter().filter_map(|record| record.data.ip_addr()));
        let valid = clock::at(answer.valid_until());
        until = Some(until.map_or(valid, |until: Millis| until.min(valid)));
    }
    until.filter(|_| !addresses.is_empty()).map(|until| (addresses, until))
}

/// A name without a search list.
fn absolute(name: &str) -> Result<Name, NetError> {
    let mut name = Name::from_str_relaxed(name)?;
    name.set_fqdn(true);
    Ok(name)
}

/// The absolute names that a name may stand for, in the order in which the C library asks for them: with at least
/// `ndots` dots the name itself comes first, and otherwise last. A name that ends with a dot is absolute.
fn candidates(name: &str, itself: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
    if name.ends_with('.') || itself.is_localhost() {
        return vec![itself.clone()];
    }
    let itself_first = name.matches('.').count() >= ndots;
    let mut names = Vec::with_capacity(search.len() + 1);
    if itself_first {
        names.push(itself.clone());
    }
    let searched = search.iter().filter_map(|domain| itself.clone().append_domain(domain).ok());
    // Docker and systemd write `search .`, by which a name stands for itself.
    for name in searched.chain((!itself_first).then(|| itself.clone())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether a name server has answered, if only that there is nothing or that it cannot tell.
fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(_) | DnsError::ResponseCode(_)))
}

/// Why a name has no addresses, without the resolver's own dump of its query.
fn cause(error: &NetError) -> String {
    let words = match error {
        NetError::Timeout => "the name servers did not answer in time",
        _ if error.is_nx_domain() => "no such name",
        _ if error.is_no_records_found() => "the name has no addresses",
        _ => return error.to_string(),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests;
