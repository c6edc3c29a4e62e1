//! Origins: from a URL in the file to addresses that a request can be sent to.
//!
//! Names are resolved here, in the background, never by a request: an origin's endpoints are part of the snapshot. When
//! a name stops resolving, its last good addresses stay in force.

mod resolve;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;

use crate::counters::Rest;
use crate::snapshot::{Endpoint, Origin, Target};

pub use resolve::Resolver;

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
    options.alpn = ALPN::H1;
    Some(Endpoint { peer, authority, base_path: target.base_path.as_str().into(), rest: Arc::new(Rest::default()) })
}
