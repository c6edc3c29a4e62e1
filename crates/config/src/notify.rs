//! Who is notified of changes: what `[[notify]]` means once every problem is out of it.

use std::net::{IpAddr, Ipv6Addr};

use lettre::message::Mailbox;

use judgement::rollout::{AnnouncementLevel, ChangeKind};

/// What must not be shown: `{:?}` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// For the one place that sends it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// One receiver, and what it wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub name: String,
    pub door: NotifyChannel,
    /// This and above.
    pub level: AnnouncementLevel,
    /// `None`: all.
    pub services: Option<Vec<String>>,
    pub kinds: Option<Vec<ChangeKind>>,
}

/// How it is reached. A whole URL may be a secret, so every one is kept as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyChannel {
    /// Signed with each of the keys: while they change, the receiver knows the old or the new one.
    Webhook {
        url: Secret<url::Url>,
        keys: Secret<Vec<Vec<u8>>>,
    },
    Slack {
        url: Secret<url::Url>,
    },
    PagerDuty {
        url: Secret<url::Url>,
        routing_key: Secret<String>,
    },
    Email(EmailChannel),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailChannel {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub login: Option<(String, Secret<String>)>,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
}

/// What keeps a mail server's connection private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Nothing: `smtp://`.
    Clear,
    /// TLS after a greeting, or no mail: `starttls://`.
    StartTls,
    /// TLS from the first byte: `smtps://`.
    Tls,
}

/// Whether nothing may be sent there: link-local addresses, where clouds answer everybody with the credentials of the
/// machine.
pub fn is_forbidden(address: IpAddr) -> bool {
    /// The metadata of EC2.
    const EC2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == EC2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_never_asked_and_loopback_may_be() {
        for (address, forbidden) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("::ffff:169.254.169.254", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("10.0.0.1", false),
            ("fd00::1", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_forbidden(address.parse().unwrap()), forbidden, "{address}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some([secret])");
    }
}
