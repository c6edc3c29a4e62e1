//! Names, asked of a name server of the test's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hickory_resolver::config::NameServerConfig;
use parking_lot::Mutex;
use tokio::net::UdpSocket;

use super::*;

/// What a name server says about a name and a kind of address.
#[derive(Clone, Copy)]
enum Says {
    Address(&'static str),
    /// The name exists, and has no address of this kind.
    Nothing,
    NoSuchName,
    ServerFailure,
    NotAWord,
}

/// A name server on a port of its own. What is not in its zone does not exist.
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    async fn start(zone: &[(&'static str, Says, Says)]) -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone: BTreeMap<&str, (Says, Says)> = zone.iter().map(|(name, a, aaaa)| (*name, (*a, *aaaa))).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut query).await {
                let (name, kind, end) = question(&query[..length]);
                seen.lock().push(name.clone());
                let (a, aaaa) = zone.get(name.as_str()).copied().unwrap_or((Says::NoSuchName, Says::NoSuchName));
                if let Some(answer) = answer(&query[..end], if kind == 1 { a } else { aaaa }) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        NameServer { address, asked }
    }

    fn resolver(&self, search: &[&str], ndots: usize, hosts: &str) -> NameResolver {
        let mut server = NameServerConfig::udp(self.address.ip());
        server.connections[0].port = self.address.port();
        let search = search.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
        let mut options = ResolverOpts::default();
        options.ndots = ndots;
        let mut file = Hosts::default();
        file.read_hosts_conf(hosts.as_bytes()).unwrap();
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        NameResolver::Dns(Arc::new(DnsResolver::new(config, options, file).unwrap()))
    }

    /// The names that were asked for, each once, in order.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().clone();
        asked.dedup();
        asked
    }
}

/// The name of a query's question, its kind and where it ends.
fn question(query: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([query[at + 1], query[at + 2]]), at + 5)
}

fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let (code, address) = match says {
        Says::Address(address) => (0, Some(address.parse::<IpAddr>().unwrap())),
        Says::Nothing => (0, None),
        Says::NoSuchName => (3, None),
        Says::ServerFailure => (2, None),
        Says::NotAWord => return None,
    };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(&query[12..]);
    let (kind, bytes) = match address {
        None => return Some(answer),
        Some(IpAddr::V4(address)) => (1, address.octets().to_vec()),
        Some(IpAddr::V6(address)) => (28, address.octets().to_vec()),
    };
    answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, bytes.len() as u8]);
    answer.extend(bytes);
    Some(answer)
}

async fn look_up(resolver: &NameResolver, name: &str) -> Result<String, String> {
    let found = resolver.look_up(name).await?;
    Ok(found.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
}

#[test]
fn names_are_tried_in_the_order_of_the_c_library() {
    let kubernetes = ["shop.svc.cluster.test", "svc.cluster.test", "cluster.test"];
    for (name, search, ndots, tried) in [
        (
            "green",
            &kubernetes[..],
            5,
            "green.shop.svc.cluster.test. green.svc.cluster.test. green.cluster.test. green.",
        ),
        (
            "green.shop",
            &kubernetes,
            5,
            "green.shop.shop.svc.cluster.test. green.shop.svc.cluster.test. green.shop.cluster.test. green.shop.",
        ),
        ("green.", &kubernetes, 5, "green."),
        ("www.shop.test.", &kubernetes, 5, "www.shop.test."),
        ("localhost", &kubernetes, 5, "localhost."),
        ("api.localhost", &kubernetes, 5, "api.localhost."),
        ("a.b.c.d.e.f", &["x.test"], 5, "a.b.c.d.e.f. a.b.c.d.e.f.x.test."),
        ("green", &["x.test"], 1, "green.x.test. green."),
        ("green.shop", &["x.test"], 1, "green.shop. green.shop.x.test."),
        ("green", &["x.test"], 0, "green. green.x.test."),
        ("green", &[], 1, "green."),
        ("green", &["."], 1, "green."),
        ("green_1", &["x.test"], 1, "green_1.x.test. green_1."),
    ] {
        let search: Vec<Name> = search.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
        let names = candidates(name, &absolute(name).unwrap(), &search, ndots);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), tried, "{name} of {search:?} by {ndots}");
    }
}

#[tokio::test]
async fn short_names_are_found_by_the_search_list() {
    let server = NameServer::start(&[
        ("green.shop.svc.cluster.test", Says::Address("10.1.0.1"), Says::Nothing),
        ("dual.shop.svc.cluster.test", Says::Address("10.1.0.2"), Says::Address("fd00::2")),
        ("example.test", Says::Address("192.0.2.7"), Says::Nothing),
    ])
    .await;
    let resolver = server.resolver(&["shop.svc.cluster.test", "svc.cluster.test"], 5, "");
    assert_eq!(look_up(&resolver, "green").await.unwrap(), "10.1.0.1");
    assert_eq!(server.asked(), ["green.shop.svc.cluster.test"], "nothing else is asked");
    assert_eq!(look_up(&resolver, "green.shop").await.unwrap(), "10.1.0.1");
    assert_eq!(look_up(&resolver, "dual").await.unwrap(), "10.1.0.2 fd00::2");
    assert_eq!(look_up(&resolver, "example.test").await.unwrap(), "192.0.2.7");
    assert_eq!(look_up(&resolver, "example.test.").await.unwrap(), "192.0.2.7");
    assert_eq!(look_up(&resolver, "nowhere").await.unwrap_err(), "no such name");
    assert_eq!(look_up(&resolver, "green.").await.unwrap_err(), "no such name", "a dot at the end means no search");
}

#[tokio::test]
async fn an_ipv4_address_does_not_wait_for_an_answer_about_ipv6() {
    use Says::{Address, NoSuchName, NotAWord, Nothing, ServerFailure};
    let server = NameServer::start(&[
        ("half.test", Address("10.1.0.1"), NotAWord),
        ("wrong.test", Address("10.1.0.2"), NoSuchName),
        ("broken.test", Address("10.1.0.3"), ServerFailure),
        ("new.test", Nothing, Address("fd00::1")),
        ("newer.test", ServerFailure, Address("fd00::2")),
        ("gone.test", NoSuchName, NotAWord),
        ("empty.test", Nothing, Nothing),
        ("silent.test", NotAWord, Address("fd00::3")),
        ("dead.test", NotAWord, NotAWord),
    ])
    .await;
    let resolver = server.resolver(&[], 1, "");
    for (name, found, within) in [
        ("half.test", Ok("10.1.0.1"), 1_000),
        ("wrong.test", Ok("10.1.0.2"), 1_000),
        ("broken.test", Ok("10.1.0.3"), 1_000),
        ("new.test", Ok("fd00::1"), 1_000),
        ("newer.test", Ok("fd00::2"), 2_500),
        ("gone.test", Err("no such name"), 1_000),
        ("empty.test", Err("the name has no addresses"), 1_000),
        ("silent.test", Ok("fd00::3"), 3_500),
        ("dead.test", Err("the name servers did not answer in time"), 3_500),
    ] {
        let began = clock::now();
        let answer = look_up(&resolver, name).await;
        assert_eq!(answer.as_deref().map_err(String::as_str), found, "{name}");
        let took = clock::now().since(began);
        assert!(took < Millis(within), "{name} took {took}");
    }
}

#[tokio::test]
async fn silence_in_the_search_list_does_not_lead_to_another_services_name() {
    let server = NameServer::start(&[
        ("green.a.test", Says::NotAWord, Says::NotAWord),
        ("green.b.test", Says::Address("10.9.9.9"), Says::Nothing),
        ("www.shop.a.test", Says::NotAWord, Says::NotAWord),
        ("www.shop", Says::Address("192.0.2.7"), Says::Nothing),
        ("blue.a.test", Says::ServerFailure, Says::ServerFailure),
        ("blue.b.test", Says::Address("10.1.0.1"), Says::Nothing),
    ])
    .await;
    let resolver = server.resolver(&["a.test", "b.test"], 5, "");
    assert_eq!(look_up(&resolver, "green").await.unwrap_err(), "the name servers did not answer in time");
    assert!(!server.asked().contains(&"green.b.test".to_owned()));
    assert_eq!(look_up(&resolver, "www.shop").await.unwrap(), "192.0.2.7", "the name as written is what was meant");
    assert_eq!(look_up(&resolver, "blue").await.unwrap(), "10.1.0.1", "a server that cannot tell has answered");
}

#[tokio::test]
async fn the_hosts_file_and_localhost_ask_no_name_server() {
    let server = NameServer::start(&[("green.x.test", Says::Address("10.9.9.9"), Says::Nothing)]).await;
    let hosts = "10.1.0.1 green green.shop\nfd00::1 Six\n127.0.0.1 localhost\n";
    let resolver = server.resolver(&["x.test"], 5, hosts);
    assert_eq!(look_up(&resolver, "green").await.unwrap(), "10.1.0.1");
    assert_eq!(look_up(&resolver, "GREEN.shop").await.unwrap(), "10.1.0.1");
    assert_eq!(look_up(&resolver, "six.").await.unwrap(), "fd00::1");
    assert_eq!(look_up(&resolver, "localhost").await.unwrap(), "127.0.0.1 ::1");
    assert_eq!(look_up(&resolver, "api.localhost").await.unwrap(), "127.0.0.1 ::1");
    assert_eq!(look_up(&resolver, "192.0.2.1").await.unwrap(), "192.0.2.1");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

#[tokio::test]
async fn a_name_that_is_not_answered_holds_up_no_other() {
    let live = |address| (Says::Address(address), Says::Nothing);
    let (one, later) = (live("10.1.0.1"), live("10.1.0.2"));
    let zone =
        [("dead.test", Says::NotAWord, Says::NotAWord), ("one.test", one.0, one.1), ("later.test", later.0, later.1)];
    let server = NameServer::start(&zone).await;
    let mut lookups = NameLookups::new(server.resolver(&[], 1, ""));
    lookups.ask("dead.test".to_owned());
    for name in ["one.test", "later.test"] {
        lookups.ask(name.to_owned());
        let (found, addresses) = lookups.next().await.unwrap();
        assert_eq!((found.as_str(), addresses.unwrap().addresses.len()), (name, 1));
        assert!(lookups.is_asked("dead.test") && !lookups.is_asked(name));
    }
    // Asking again while it is under way asks nobody.
    lookups.ask("dead.test".to_owned());
    assert!(lookups.next().await.unwrap().1.is_err());
    assert!(lookups.next().await.is_none() && !lookups.is_asked("dead.test"));
}
