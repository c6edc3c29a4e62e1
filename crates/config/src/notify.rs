//! The receivers of notices: what `[[notify]]` means once all of its problems are solved.

use std::net::{IpAddr, Ipv6Addr};

use lettre::message::Mailbox;

use judgement::rollout::{AnnouncementLevel, ChangeKind};

/// A secret, which `{:?}` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// One receiver, and which notices it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub name: String,
    pub door: NotifyChannel,
    pub proxy: NoticeProxy,
    /// This level and above.
    pub level: AnnouncementLevel,
    /// `None` for all.
    pub services: Option<Vec<String>>,
    pub kinds: Option<Vec<ChangeKind>>,
}

/// The way to a receiver that is asked over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoticeProxy {
    /// What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say. Loopback addresses are asked directly.
    #[default]
    FromEnvironment,
    None,
    /// Through this one, whatever the environment says. Its URL may have a password.
    At(Secret<url::Url>),
}

/// The kind of receiver. A whole URL may be a secret, so each one is kept as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyChannel {
    /// Signed with each of the keys: while they are being rotated, the receiver knows the old or the new one.
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

/// The encryption of a mail server's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Nothing: `smtp://`.
    Clear,
    /// STARTTLS, or no mail: `starttls://`.
    StartTls,
    /// TLS from the first byte: `smtps://`.
    Tls,
}

/// Whether an address must not be contacted: link-local addresses, where cloud platforms hand out the machine's
/// credentials to anyone.
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
