//! Where a deploy may send an environment: patterns such as `https://*--shop.netlify.app`.
//!
//! A pattern is a scheme, a host and perhaps a port; `*` stands for a run of letters, digits and hyphens within one
//! part of the host, so that a dot, a port or another name cannot slip in.

use memory::snapshot::OriginTarget;

/// An origin that a deploy may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin {
    tls: bool,
    /// In lower case, with its stars.
    host: String,
    port: u16,
}

impl AllowedOrigin {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<AllowedOrigin, &'static str> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("it does not begin with http:// or https://"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "its port is not a number from 1 to 65535")?)
            }
            _ => (rest, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'*' | b':' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            return Err("it must be a scheme and a host, with `*` for part of a name, and no path");
        }
        // The last two parts belong to the owner: a star there would allow any site.
        let owner = host.rsplit('.').take(2);
        if host.parse::<std::net::IpAddr>().is_err() && owner.clone().any(|part| part.contains('*')) {
            return Err("`*` is not allowed in the last two parts of the name: anyone could own a match");
        }
        Ok(AllowedOrigin { tls, host, port })
    }

    pub fn matches(&self, target: &OriginTarget) -> bool {
        self.tls == target.tls && self.port == target.port && like(&self.host, &target.host)
    }
}

/// Whether a name matches a pattern, part by part.
fn like(pattern: &str, name: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), name.split('.').collect());
    patterns.len() == parts.len() && patterns.iter().zip(parts).all(|(pattern, part)| part_like(pattern, part))
}

fn part_like(pattern: &str, part: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == part };
    let Some(rest) = part.strip_prefix(before) else { return false };
    // A star matches at least one letter; what follows it may contain more stars.
    (1..=rest.len()).any(|taken| rest.get(taken..).is_some_and(|rest| part_like(after, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(tls: bool, host: &str, port: u16) -> OriginTarget {
        OriginTarget { tls, host: host.into(), port, authority: host.into(), base_path: String::new() }
    }

    #[test]
    fn a_star_is_a_part_of_one_name_and_nothing_else() {
        let netlify = AllowedOrigin::parse("https://*--shop.netlify.app").unwrap();
        for (host, allowed) in [
            ("next--shop.netlify.app", true),
            ("deploy-preview-7--shop.netlify.app", true),
            ("--shop.netlify.app", false),
            ("shop.netlify.app", false),
            ("evil.com--shop.netlify.app", false),
            ("next--shop.netlify.app.evil.com", false),
            ("next--other.netlify.app", false),
        ] {
            assert_eq!(netlify.matches(&target(true, host, 443)), allowed, "{host}");
        }
        assert!(!netlify.matches(&target(false, "next--shop.netlify.app", 443)), "another scheme");
        assert!(!netlify.matches(&target(true, "next--shop.netlify.app", 8443)), "another port");
        assert!(AllowedOrigin::parse("http://127.0.0.1:9000").unwrap().matches(&target(false, "127.0.0.1", 9000)));
    }

    #[test]
    fn a_pattern_that_lets_anybody_in_is_refused() {
        for text in ["https://*.app", "https://*", "shop.example.com", "https://", "https://a/b", "ftp://a.b.c"] {
            assert!(AllowedOrigin::parse(text).is_err(), "{text}");
        }
    }
}
