//! Sets of networks that a file can name instead of listing them.

use ipnet::IpNet;

/// The names of the sets.
pub const NAMES: [&str; 3] = ["cloudflare", "loopback", "private"];

/// From <https://www.cloudflare.com/ips-v4> and <https://www.cloudflare.com/ips-v6>, as last changed on 2023-09-28.
const CLOUDFLARE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// RFC 1918, RFC 4193, and the link-local networks of RFC 3927 and RFC 4291. Loopback is a set of its own,
/// because every program of this host can connect from it.
const PRIVATE: [&str; 6] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// The networks of a set; `None` if there is no set of this name.
pub fn named(name: &str) -> Option<Vec<IpNet>> {
    let networks: &[&str] = match name {
        "cloudflare" => &CLOUDFLARE,
        "loopback" => &LOOPBACK,
        "private" => &PRIVATE,
        _ => return None,
    };
    Some(networks.iter().filter_map(|network| network.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_all_its_networks_without_host_bits() {
        for (name, count) in NAMES.iter().zip([CLOUDFLARE.len(), LOOPBACK.len(), PRIVATE.len()]) {
            let networks = named(name).unwrap();
            assert_eq!(networks.len(), count, "{name}");
            assert!(networks.iter().all(|network| network.trunc() == *network), "{name}");
        }
        assert_eq!(named("mars"), None);
    }

    #[test]
    fn addresses_are_in_the_sets_that_they_belong_to() {
        for (address, sets) in [
            ("104.27.255.255", &["cloudflare"][..]),
            ("172.71.0.1", &["cloudflare"]),
            ("2606:4700::1111", &["cloudflare"]),
            ("2a06:98c7:ffff::1", &["cloudflare"]),
            ("104.28.0.0", &[]),
            ("1.1.1.1", &[]),
            ("127.8.8.8", &["loopback"]),
            ("::1", &["loopback"]),
            ("10.255.0.1", &["private"]),
            ("172.31.255.255", &["private"]),
            ("172.32.0.0", &[]),
            ("192.168.1.1", &["private"]),
            ("169.254.10.1", &["private"]),
            ("fd12:3456::1", &["private"]),
            ("fe80::1", &["private"]),
            ("100.64.0.1", &[]),
            ("2001:db8::1", &[]),
        ] {
            let address: std::net::IpAddr = address.parse().unwrap();
            let of = NAMES.iter().filter(|name| named(name).unwrap().iter().any(|network| network.contains(&address)));
            assert_eq!(of.copied().collect::<Vec<_>>(), sets, "{address}");
        }
    }
}
