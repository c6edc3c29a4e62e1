//! What the files of /proc say, as values; see proc_pid_stat(5) and proc_net(5).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    pub pid: u32,
    pub parent: u32,
    /// In clock ticks since the machine started.
    pub started: u64,
    /// Of itself and of those of its children that ended and were waited for, in clock ticks.
    pub cpu_ticks: u64,
    pub threads: u64,
    /// Nobody has waited for it yet.
    pub has_ended: bool,
}

/// Parses `/proc/PID/stat`.
pub fn stat(text: &str) -> Option<ProcessStat> {
    // The name is in parentheses, and may contain spaces and parentheses itself.
    let (pid, rest) = text.split_once('(')?;
    let (_, rest) = rest.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The manual counts from 1, and the state is the third.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        pid: pid.trim().parse().ok()?,
        parent: u32::try_from(number(4)?).ok()?,
        started: number(22)?,
        cpu_ticks: number(14)? + number(15)? + number(16)? + number(17)?,
        threads: number(20)?,
        has_ended: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// The id in a file: its first word.
pub fn pid(text: &str) -> Option<u32> {
    text.split_ascii_whitespace().next()?.parse().ok().filter(|pid| *pid > 0)
}

/// The inode of a descriptor's link: `socket:[1234]`.
pub fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListeningSocket {
    pub address: SocketAddr,
    pub inode: u64,
}

/// The listening sockets of `/proc/net/tcp` or `tcp6`.
pub fn listeners(text: &str) -> Vec<ListeningSocket> {
    const LISTENING: &str = "0A";
    let one = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let address = SocketAddr::new(address_in_hex(address)?, u16::from_str_radix(port, 16).ok()?);
        let inode = fields.get(9)?.parse().ok()?;
        (*fields.get(3)? == LISTENING).then_some(ListeningSocket { address, inode })
    };
    text.lines().filter_map(one).collect()
}

/// Words of 32 bits, each in this machine's order of bytes.
fn address_in_hex(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into())
        }
        _ => None,
    }
}

/// The sockets that accept connections to an address: those of the address itself, or else those of every address.
pub fn sockets_of(listeners: &[ListeningSocket], to: SocketAddr) -> BTreeSet<u64> {
    // The system takes an unspecified address for the loopback one.
    let ip = match to.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let of_port = || listeners.iter().filter(|listener| listener.address.port() == to.port());
    let inodes = |takes: &dyn Fn(IpAddr) -> bool| -> BTreeSet<u64> {
        of_port().filter(|listener| takes(listener.address.ip())).map(|listener| listener.inode).collect()
    };
    let exact = inodes(&|own| own.to_canonical() == ip);
    if !exact.is_empty() {
        return exact;
    }
    inodes(&|own| own.is_unspecified() && (own.is_ipv6() || ip.is_ipv4()))
}

fn by_pid(all: &[ProcessStat]) -> BTreeMap<u32, &ProcessStat> {
    all.iter().map(|stat| (stat.pid, stat)).collect()
}

/// Those that are not descendants of others among them. Of a socket that an init process handed on, those who took it.
pub fn topmost(pids: &BTreeSet<u32>, all: &[ProcessStat]) -> BTreeSet<u32> {
    const INIT: u32 = 1;
    let without_init: BTreeSet<u32> = pids.iter().copied().filter(|pid| *pid != INIT).collect();
    let pids = if without_init.is_empty() { pids } else { &without_init };
    let stats = by_pid(all);
    let has_ancestor = |pid: &u32| {
        let parent = |of: &u32| stats.get(of).map(|stat| stat.parent).filter(|parent| *parent > 0);
        // What is read while processes come and go may be circular.
        std::iter::successors(parent(pid), parent).take(all.len()).any(|ancestor| pids.contains(&ancestor))
    };
    pids.iter().copied().filter(|pid| !has_ancestor(pid)).collect()
}

/// Processes with all of their descendants. `own`: this process, which is not part of an origin that started it.
pub fn with_descendants<'a>(roots: &[u32], all: &'a [ProcessStat], own: u32) -> Vec<&'a ProcessStat> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for stat in all.iter().filter(|stat| stat.pid != own) {
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let (mut found, mut waiting) = (BTreeSet::new(), roots.to_vec());
    while let Some(pid) = waiting.pop() {
        if found.insert(pid) {
            waiting.extend(children.get(&pid).into_iter().flatten());
        }
    }
    all.iter().filter(|stat| found.contains(&stat.pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_fields_after_it() {
        let text =
            "42 (a ) R (1) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 20 5 20 0 9 0 777 1000 200 18446744073709551615";
        let wanted = ProcessStat { pid: 42, parent: 7, started: 777, cpu_ticks: 225, threads: 9, has_ended: false };
        assert_eq!(stat(text), Some(wanted));
        assert!(stat(&text.replace(") S", ") Z")).unwrap().has_ended);
        assert_eq!([stat(""), stat("42 (a"), stat("42 (a) S 7")], [None; 3]);
    }

    #[test]
    fn pids_and_sockets_are_numbers_in_their_place() {
        assert_eq!([pid("12\n"), pid(" 7 x"), pid("0"), pid("a"), pid("")], [Some(12), Some(7), None, None, None]);
        assert_eq!([socket("socket:[99]"), socket("pipe:[99]"), socket("socket:[a]")], [Some(99), None, None]);
    }

    fn word(bytes: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(bytes))
    }

    #[test]
    fn the_listener_of_an_address_is_its_own_or_that_of_every_address() {
        let line = |address: &str, port: u16, state: &str, inode: u64| {
            format!("  0: {address}:{port:04X} 00000000:0000 {state} 0:0 00:0 0 1000 0 {inode} 1 0 100 0")
        };
        let zeros = "0".repeat(32);
        let mapped = format!("{}{}{}", "0".repeat(16), word([0, 0, 0xff, 0xff]), word([127, 0, 0, 1]));
        let text = [
            "  sl  local_address rem_address   st tx_queue".to_owned(),
            line(&word([127, 0, 0, 1]), 80, "0A", 1),
            line("00000000", 80, "0A", 2),
            line(&word([127, 0, 0, 1]), 80, "01", 3),
            line(&zeros, 81, "0A", 4),
            line(&mapped, 82, "0A", 5),
            "nonsense".to_owned(),
        ];
        let all = listeners(&text.join("\n"));
        assert_eq!(all.len(), 4);
        let of = |to: &str| sockets_of(&all, to.parse().unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!((of("127.0.0.1:80"), of("0.0.0.0:80"), of("127.0.0.2:80")), (vec![1], vec![1], vec![2]));
        assert_eq!((of("[::1]:80"), of("127.0.0.1:81"), of("[::1]:81")), (vec![], vec![4], vec![4]));
        assert_eq!((of("127.0.0.1:82"), of("127.0.0.1:83")), (vec![5], vec![]));
    }

    fn process(pid: u32, parent: u32) -> ProcessStat {
        ProcessStat { pid, parent, started: 0, cpu_ticks: 0, threads: 1, has_ended: false }
    }

    #[test]
    fn workers_belong_to_the_process_that_started_them() {
        let all = [process(1, 0), process(10, 1), process(11, 10), process(12, 11), process(20, 1), process(30, 12)];
        let top = |pids: &[u32]| topmost(&pids.iter().copied().collect(), &all).into_iter().collect::<Vec<_>>();
        assert_eq!(
            (top(&[10, 11, 12]), top(&[11, 20]), top(&[1, 20]), top(&[1])),
            (vec![10], vec![11, 20], vec![20], vec![1])
        );
        let tree = |roots: &[u32], own| with_descendants(roots, &all, own).iter().map(|s| s.pid).collect::<Vec<_>>();
        assert_eq!((tree(&[10], 0), tree(&[10], 12)), (vec![10, 11, 12, 30], vec![10, 11]));
        let circle = [process(2, 3), process(3, 2)];
        assert!(topmost(&BTreeSet::from([2, 3]), &circle).is_empty());
        assert_eq!(with_descendants(&[2], &circle, 0).len(), 2);
    }
}
