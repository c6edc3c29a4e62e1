//! HTTP/1.0 and HTTP/1.1 (RFC 9112): bytes in, events out.
//!
//! No IO, clock, log or runtime: a caller reads bytes into its own buffer and asks what they are. Heads are offsets into
//! that buffer, bodies are ranges of it, and nothing is allocated for a message once a connection's lists have grown.
//!
//! Whatever can be read in two ways is refused, in a request and in a response: what a proxy forwards of it could be read
//! in the other way behind it. What is accepted is one table, in `rules`; why something is not is [`Refused`].
//!
//! # A request on its way
//!
//! ```
//! use cutover_http1::{ChunkEvent, ChunkReader, Framing, Head, HeadLimits, KnownField, Parsed, encode, parse_request};
//!
//! let bytes = b"POST /form?a=b HTTP/1.1\r\nHost: shop.test\r\nSOAPAction: x\r\nConnection: close\r\n\
//!     Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
//!
//! // One head for a connection, filled again and again.
//! let mut head = Head::default();
//! let Parsed::Complete { head_len } = parse_request(bytes, &mut head, &HeadLimits::default())? else {
//!     panic!("read more bytes, and ask again");
//! };
//! let request = head.view(bytes);
//! assert_eq!((request.method(), request.path(), request.query()), ("POST", "/form", Some("a=b")));
//! assert_eq!((head.request_framing(), head.keep_alive()), (Framing::Chunked, false));
//!
//! // What goes on: our own lines, and runs of the client's.
//! let mut out = Vec::new();
//! encode::forwarded_request_line(&mut out, request, "/base");
//! encode::field(&mut out, "Host", b"origin.test");
//! request.copy_lines(&mut out, |line| !line.stays && line.id != KnownField::Host);
//! encode::chunked(&mut out);
//! encode::end_of_fields(&mut out);
//!
//! let mut chunks = ChunkReader::default();
//! let mut at = head_len;
//! while let ChunkEvent::Data(range) = chunks.next(bytes, &mut at)? {
//!     encode::chunk_head(&mut out, range.len() as u64);
//!     out.extend_from_slice(&bytes[range]);
//!     encode::chunk_end(&mut out);
//! }
//! assert!(chunks.is_done() && at == bytes.len());
//! encode::last_chunk(&mut out);
//! encode::end_of_fields(&mut out);
//! assert_eq!(
//!     out.escape_ascii().to_string(),
//!     r"POST /base/form?a=b HTTP/1.1\r\nHost: origin.test\r\nSOAPAction: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
//! );
//! # Ok::<(), cutover_http1::Refused>(())
//! ```
//!
//! # The rooms, from the bottom up
//!
//! - `characters`: which bytes may stand where. `known_field`: names that have a number, and `field_set`
//!   for several of them. `refused`: the reasons.
//! - `head`: where the parts of a head lie. `target`: the forms of a target. `rules`: the table of what is accepted.
//! - `parse`: reading a head. `view`: a head with its bytes: looking up, walking, copying. `framing`: where a message ends.
//! - `connection`: upgrades, trailers, keep-alive.
//! - `chunks`: reading a chunked body. [`encode`]: writing.

mod characters;
mod chunks;
mod connection;
pub mod encode;
mod field_set;
mod framing;
mod head;
mod known_field;
mod parse;
mod refused;
mod rules;
mod target;
mod view;

pub use chunks::{ChunkEvent, ChunkReader};
pub use field_set::FieldSet;
pub use framing::{Framing, RequestKind};
pub use head::Head;
pub use known_field::KnownField;
pub use parse::{HeadLimits, Parsed, parse_request, parse_response};
pub use refused::Refused;
pub use view::{FieldLine, HeadView};
