//! Origins: from a URL in the file to addresses that a request can be sent to.
//!
//! Names are resolved here, in the background, never by a request: an origin's endpoints are part of the snapshot. When
//! a name stops resolving, its last good addresses stay in force.

pub mod connect;
mod connector;
pub mod error;
pub mod exchange;
mod resolve;
mod tls;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::origin::tls::OriginTls;
use memory::counters::{EndpointLimits, EndpointRest};
use memory::snapshot::{Endpoint, EndpointTls, OriginSettings, OriginTarget, SentHost};

pub use connector::Connector;
pub use error::OriginError;
pub use resolve::{KnownAddresses, OriginResolver};

/// Addresses that cannot be an origin: link-local ones, where cloud platforms keep instance credentials
/// (169.254.169.254, fd00:ec2::254). Checked after every lookup, because a name may point to one at any time.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

/// The metadata service of an EC2 instance, which is not link-local in IPv6.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Everything that a connection to one address of a target needs, prepared once.
fn endpoint(
    origin: &OriginSettings,
    target: &OriginTarget,
    address: IpAddr,
    tls: &OriginTls,
    limits: &EndpointLimits,
) -> Option<Endpoint> {
    if is_forbidden(address) {
        tracing::warn!(host = target.host, %address, "ignoring the link-local address of an origin");
        return None;
    }
    let tls = match target.tls {
        false => None,
        true => Some(EndpointTls {
            // A URL with an address has no name to ask for, so the certificate must name the address.
            name: ServerName::try_from(target.host.clone()).ok()?,
            config: tls.config(origin),
        }),
    };
    let sent = origin.sent_host(target);
    let authority = match &sent {
        SentHost::Name(name) => name,
        SentHost::Preserve => origin.service_host.as_ref().unwrap_or(&target.authority),
        SentHost::Origin => &target.authority,
    };
    let address = SocketAddr::new(address, target.port);
    let mut key = DefaultHasher::new();
    (address, target.tls.then_some(&target.host), origin.h2, &origin.authorities, &origin.identity).hash(&mut key);
    let limit = origin
        .limit
        .as_ref()
        .map(|limit| limits.limit(&limit.service, limit.environment, address, limit.connections, limit.queue));
    Some(Endpoint {
        address,
        tls,
        http2: origin.h2,
        timeouts: origin.timeouts,
        connection_key: key.finish(),
        authority: authority.as_str().into(),
        preserves_host: sent == SentHost::Preserve,
        url_authority: target.authority.as_str().into(),
        base_path: target.base_path.as_str().into(),
        rest: Arc::new(EndpointRest::default()),
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clouds_keep_secrets_there_is_no_origin() {
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "93.184.216.34"] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
