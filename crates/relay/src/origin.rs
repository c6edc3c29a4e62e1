//! Origins: from a URL in the file to addresses that a request can be sent to.
//!
//! Names are resolved here, in the background, never by a request: an origin's endpoints are part of the snapshot. When
//! a name stops resolving, its last good addresses stay in force.

pub mod cause;
pub mod exchange;
mod resolve;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};

use memory::counters::EndpointRest;
use memory::snapshot::{Endpoint, OriginHttp2, OriginSettings, OriginTarget};

pub use resolve::OriginResolver;

/// Requests at once on one HTTP/2 connection to an origin; further ones open another.
const STREAMS: usize = 100;

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

/// Everything that pingora needs for a connection to one address of a target, prepared once.
fn endpoint(origin: &OriginSettings, target: &OriginTarget, address: IpAddr) -> Option<Endpoint> {
    if is_forbidden(address) {
        tracing::warn!(host = target.host, %address, "ignoring the link-local address of an origin");
        return None;
    }
    let authority = HeaderValue::from_str(&target.authority).ok()?;
    // A URL with an address has no name to ask for, so the certificate must name the address.
    let mut peer = HttpPeer::new(SocketAddr::new(address, target.port), target.tls, target.host.clone());
    let (timeouts, options) = (&origin.timeouts, &mut peer.options);
    options.connection_timeout = Some(timeouts.connect.as_duration());
    options.total_connection_timeout = Some(timeouts.connect.plus(timeouts.tls).as_duration());
    options.read_timeout = Some(timeouts.first_byte.as_duration());
    options.write_timeout = Some(timeouts.write.as_duration());
    options.idle_timeout = Some(timeouts.idle.as_duration());
    options.alpn = match (origin.h2, target.tls) {
        (OriginHttp2::Never, _) | (OriginHttp2::Auto, false) => ALPN::H1,
        (OriginHttp2::Auto, true) => ALPN::H2H1,
        (OriginHttp2::Only, _) => ALPN::H2,
    };
    options.max_h2_streams = STREAMS;
    if !origin.authorities.is_empty() {
        let authorities = origin.authorities.iter().map(|der| WrappedX509::new(der.clone(), parse_x509));
        options.ca = Some(authorities.collect::<Arc<[_]>>());
    }
    peer.client_cert_key =
        origin.identity.as_ref().map(|identity| Arc::new(CertKey::new(identity.chain.clone(), identity.key.clone())));
    // Terms missing from pingora's key for kept connections: a connection made under other terms must not be used.
    let mut terms = DefaultHasher::new();
    (origin.h2, &origin.authorities, &origin.identity).hash(&mut terms);
    peer.group_key = terms.finish();
    Some(Endpoint {
        peer,
        authority,
        base_path: target.base_path.as_str().into(),
        rest: Arc::new(EndpointRest::default()),
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
