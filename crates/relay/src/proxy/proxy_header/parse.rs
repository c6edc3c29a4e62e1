//! The PROXY protocol, versions 1 and 2, as <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> has it. Pure: bytes
//! in, and what they say out.
//!
//! The crate `ppp` reads addresses and lists of fields (TLVs). What it does otherwise than the protocol says is decided before
//! it is asked: where a header ends, what LOCAL and UNKNOWN may be followed by, and which numbers are ports.

use std::net::IpAddr;

use crc::{CRC_32_ISCSI, Crc};
use ppp::{v1, v2};

/// The longest header of version 1, with its line end: so the protocol says.
const LONGEST_TEXT: usize = 107;
/// Signature, command, family and length of version 2.
const FIXED: usize = 16;
/// What may follow them. The protocol asks for no more than 536 bytes, so that a header comes in one packet. With each field
/// at its longest (a name of 255 bytes, an id of 128, a certificate's names) balancers need about 700.
const LONGEST_REST: usize = 1024;
/// The longest header that is read.
pub const LONGEST_HEADER: usize = FIXED + LONGEST_REST;

const TEXT: &[u8] = b"PROXY ";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";
const LOCAL: u8 = 0x20;

/// The type of a field with a checksum over the header (PP2_TYPE_CRC32C).
const CHECKSUM: u8 = 0x03;
/// The type of a field about the client's TLS (PP2_TYPE_SSL), and its bit that says that there is TLS (PP2_CLIENT_SSL).
const TLS: u8 = 0x20;
const IS_TLS: u8 = 0x01;
/// Its flags, and whether the client's certificate was verified.
const TLS_FIXED: usize = 5;

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A header, and what it says of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes.
    pub length: usize,
    pub client: ProxiedClient,
    /// The client came over TLS, which has ended at the sender.
    pub over_tls: bool,
}

/// Whose connection a header is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedClient {
    At(IpAddr),
    /// The sender's own, such as a health probe.
    Sender,
    /// Somebody's whom the sender cannot name, such as a client of a Unix socket.
    Unnamed,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    Header(ProxyHeader),
    /// They may become a header.
    Partial,
    /// They are something else.
    Other,
}

/// Why a header is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("malformed header")]
    Malformed,
    #[error("header too long")]
    TooLong,
    #[error("the header's checksum does not match")]
    Checksum,
}

/// Reads what a connection begins with.
///
/// # Errors
/// It begins as a header does, and is not a valid one.
pub fn parse(bytes: &[u8]) -> Result<FirstBytes, ProxyHeaderError> {
    if begins_with(bytes, v2::PROTOCOL_PREFIX) {
        binary(bytes)
    } else if begins_with(bytes, TEXT) {
        text(bytes)
    } else {
        Ok(FirstBytes::Other)
    }
}

/// As far as there are bytes.
fn begins_with(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.starts_with(prefix) || prefix.starts_with(bytes)
}

fn text(bytes: &[u8]) -> Result<FirstBytes, ProxyHeaderError> {
    let most = bytes.get(..LONGEST_TEXT).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', most) else {
        return if most.len() < LONGEST_TEXT { Ok(FirstBytes::Partial) } else { Err(ProxyHeaderError::TooLong) };
    };
    let line = most.get(..=end).unwrap_or_default();
    let client = client_of(line).ok_or(ProxyHeaderError::Malformed)?;
    Ok(FirstBytes::Header(ProxyHeader { length: line.len(), client, over_tls: false }))
}

/// The client in a line of version 1; `None` if it is not one.
fn client_of(line: &[u8]) -> Option<ProxiedClient> {
    let words = line.strip_suffix(b"\r\n")?;
    if let Some(rest) = words.strip_prefix(UNKNOWN) {
        // Whatever follows is to be ignored.
        return (rest.is_empty() || rest.starts_with(b" ")).then_some(ProxiedClient::Unnamed);
    }
    // Ports are digits: `ppp` takes a sign too.
    if words.contains(&b'+') {
        return None;
    }
    let header = v1::Header::try_from(line).ok().filter(|header| header.header.len() == line.len())?;
    match header.addresses {
        v1::Addresses::Tcp4(told) => Some(ProxiedClient::At(told.source_address.into())),
        v1::Addresses::Tcp6(told) => Some(ProxiedClient::At(IpAddr::from(told.source_address).to_canonical())),
        v1::Addresses::Unknown => Some(ProxiedClient::Unnamed),
    }
}

fn binary(bytes: &[u8]) -> Result<FirstBytes, ProxyHeaderError> {
    // A wrong command or family shows at once.
    let command = bytes.get(v2::PROTOCOL_PREFIX.len());
    if command.is_some_and(|command| *command & 0xFE != LOCAL) {
        return Err(ProxyHeaderError::Malformed);
    }
    let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) else { return Ok(FirstBytes::Partial) };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > LONGEST_REST {
        return Err(ProxyHeaderError::TooLong);
    }
    let Some(whole) = bytes.get(..FIXED + rest) else { return Ok(FirstBytes::Partial) };
    let mut said = ProxyHeader { length: whole.len(), client: ProxiedClient::Sender, over_tls: false };
    if command == Some(&LOCAL) {
        // Whatever follows is to be ignored, its family included.
        return Ok(FirstBytes::Header(said));
    }
    let header = v2::Header::try_from(whole).map_err(|_| ProxyHeaderError::Malformed)?;
    said.client = match header.addresses {
        _ if header.protocol != v2::Protocol::Stream => ProxiedClient::Unnamed,
        v2::Addresses::IPv4(told) => ProxiedClient::At(told.source_address.into()),
        v2::Addresses::IPv6(told) => ProxiedClient::At(IpAddr::from(told.source_address).to_canonical()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => ProxiedClient::Unnamed,
    };
    said.over_tls = fields(whole, &header)?;
    Ok(FirstBytes::Header(said))
}

/// Whether the fields of a header say that the client came over TLS.
fn fields(whole: &[u8], header: &v2::Header<'_>) -> Result<bool, ProxyHeaderError> {
    let mut at = whole.len() - header.tlv_bytes().len();
    let mut over_tls = false;
    for field in header.tlvs() {
        let field = field.map_err(|_| ProxyHeaderError::Malformed)?;
        let value = at + 3;
        at = value + field.value.len();
        match (field.kind, &*field.value) {
            (CHECKSUM, told) => {
                let told = told.try_into().map(u32::from_be_bytes).map_err(|_| ProxyHeaderError::Malformed)?;
                if told != checksum(whole, value) {
                    return Err(ProxyHeaderError::Checksum);
                }
            }
            (TLS, [flags, ..]) if field.value.len() >= TLS_FIXED => over_tls = flags & IS_TLS != 0,
            (TLS, _) => return Err(ProxyHeaderError::Malformed),
            _ => {}
        }
    }
    Ok(over_tls)
}

/// Over the whole header, as if the checksum's own four bytes were 0.
fn checksum(whole: &[u8], at: usize) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(whole.get(..at).unwrap_or_default());
    digest.update(&[0; 4]);
    digest.update(whole.get(at + 4..).unwrap_or_default());
    digest.finalize()
}

#[cfg(test)]
mod tests;
