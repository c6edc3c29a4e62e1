//! Origins: from a URL in the file to addresses that a request can be sent to.
//!
//! Names are resolved here, in the background, never by a request: an origin's endpoints are part of the snapshot. When
//! a name stops resolving, its last good addresses stay in force.

mod resolve;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};

use crate::counters::Rest;
use crate::snapshot::{Endpoint, H2, Origin, Target};

pub use resolve::Resolver;

/// Requests at once on one HTTP/2 connection to an origin; the next ones open another.
const STREAMS: usize = 100;

/// Everything that pingora needs for a connection to one address of a target, prepared once.
fn endpoint(origin: &Origin, target: &Target, address: IpAddr) -> Option<Endpoint> {
    let authority = HeaderValue::from_str(&target.authority).ok()?;
    // An address in the URL has no name to ask for: the certificate must name the address then.
    let mut peer = HttpPeer::new(SocketAddr::new(address, target.port), target.tls, target.host.clone());
    let (timeouts, options) = (&origin.timeouts, &mut peer.options);
    options.connection_timeout = Some(timeouts.connect.as_duration());
    options.total_connection_timeout = Some(timeouts.connect.plus(timeouts.tls).as_duration());
    options.read_timeout = Some(timeouts.first_byte.as_duration());
    options.write_timeout = Some(timeouts.write.as_duration());
    options.idle_timeout = Some(timeouts.idle.as_duration());
    options.alpn = match (origin.h2, target.tls) {
        (H2::Never, _) | (H2::Auto, false) => ALPN::H1,
        (H2::Auto, true) => ALPN::H2H1,
        (H2::Only, _) => ALPN::H2,
    };
    options.max_h2_streams = STREAMS;
    if !origin.authorities.is_empty() {
        let authorities = origin.authorities.iter().map(|der| WrappedX509::new(der.clone(), parse_x509));
        options.ca = Some(authorities.collect::<Arc<[_]>>());
    }
    peer.client_cert_key =
        origin.identity.as_ref().map(|identity| Arc::new(CertKey::new(identity.chain.clone(), identity.key.clone())));
    // What pingora leaves out of its key for kept connections: one that was made by other terms must not be used.
    let mut terms = DefaultHasher::new();
    (origin.h2, &origin.authorities, &origin.identity).hash(&mut terms);
    peer.group_key = terms.finish();
    Some(Endpoint { peer, authority, base_path: target.base_path.as_str().into(), rest: Arc::new(Rest::default()) })
}
