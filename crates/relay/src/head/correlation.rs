//! The identifiers of a request: X-Request-Id, and its trace.

use http1::{FieldSet, HeadView, KnownField, encode};

use crate::head::LONGEST_ID;
use crate::head::ids::IdGenerator;
use crate::head::trace::TraceContext;
use config::HopHeaders;
use judgement::hex;

/// The identifiers of a request: fixed before it is routed, and the same on every attempt.
#[derive(Debug, Default)]
pub struct CorrelationIds {
    request_id: Option<RequestId>,
    trace: Option<TraceContext>,
}

/// X-Request-Id. Every waiting request has room for one, so the long ones are elsewhere.
#[derive(Debug)]
enum RequestId {
    /// 32 hexadecimal digits.
    Fresh([u8; 32]),
    /// A trusted proxy's: one allocation for each of its requests.
    Kept(Box<[u8]>),
}

impl CorrelationIds {
    /// A trusted proxy's own if they are valid, otherwise new ones.
    pub fn of(head: HeadView<'_>, trusted: bool, hop: HopHeaders, ids: &IdGenerator) -> CorrelationIds {
        let is_sane = |id: &&[u8]| (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
        let mut lines = head.all(KnownField::XRequestId).filter(|_| trusted);
        let sent = lines.next().filter(|_| lines.next().is_none()).filter(is_sane);
        let request_id = match sent {
            Some(id) => RequestId::Kept(id.into()),
            None => RequestId::Fresh(hex::digits(&ids.fresh().to_be_bytes())),
        };
        CorrelationIds {
            request_id: Some(request_id),
            trace: hop.trace_context.then(|| TraceContext::of(head, trusted, ids)),
        }
    }

    /// What the origin is told as X-Request-Id.
    pub fn request_id(&self) -> Option<&[u8]> {
        self.request_id.as_ref().map(RequestId::as_bytes)
    }

    /// The trace id of traceparent: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref().map(TraceContext::id)
    }

    /// The fields in which what the client says goes no further.
    pub(super) fn replaces(&self) -> FieldSet {
        let id = if self.request_id.is_some() { FieldSet::of(&[KnownField::XRequestId]) } else { FieldSet::EMPTY };
        match &self.trace {
            None => id,
            Some(trace) if trace.state => id.with(KnownField::Traceparent),
            Some(_) => id.with(KnownField::Traceparent).with(KnownField::Tracestate),
        }
    }

    /// Tells the origin.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.request_id() {
            encode::field(out, "X-Request-Id", id);
        }
        if let Some(trace) = &self.trace {
            encode::field(out, "traceparent", trace.parent().as_bytes());
        }
    }
}

impl RequestId {
    fn as_bytes(&self) -> &[u8] {
        match self {
            RequestId::Fresh(digits) => digits,
            RequestId::Kept(id) => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::request;

    #[test]
    fn a_request_keeps_a_trusted_proxys_id_if_it_is_sane() {
        let (ids, hop) = (IdGenerator::new(), HopHeaders::default());
        let marked = |lines: &[&str], trusted: bool| {
            let fields: Vec<String> = lines.iter().map(|line| format!("X-Request-Id: {line}")).collect();
            let sample = request("GET /", &fields.iter().map(String::as_str).collect::<Vec<_>>());
            CorrelationIds::of(sample.view(), trusted, hop, &ids).request_id().unwrap().escape_ascii().to_string()
        };
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        assert_eq!(marked(&["7b7c-1"], true), "7b7c-1");
        assert_eq!(marked(&[&longest], true), longest);
        for (lines, trusted) in [
            (vec!["7b7c-1"], false),
            (vec![], true),
            (vec![""], true),
            (vec!["two words"], true),
            (vec![&too_long], true),
            (vec!["7b7c-1", "7b7c-1"], true),
        ] {
            let fresh = marked(&lines, trusted);
            let digits = fresh.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
            assert!(fresh.len() == 32 && digits, "{lines:?}: {fresh}");
        }
        assert_ne!(marked(&[], false), marked(&[], false));
    }
}
