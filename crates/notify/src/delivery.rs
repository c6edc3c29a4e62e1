//! What is sent to a sink, and the result of one attempt to send it.

use std::sync::Arc;

use crate::notice::Notice;
use judgement::time::Millis;

/// What a sink's queue holds.
#[derive(Clone, Debug)]
pub(crate) struct QueuedNotice {
    pub notice: Arc<Notice>,
    /// For PagerDuty: this ends the service's incident of this kind, and begins none.
    pub ends: Option<&'static str>,
}

/// The result of one attempt.
#[derive(Debug)]
pub enum Delivery {
    Taken,
    /// It may succeed later; `after`: when the receiver asked to be tried again.
    Again {
        why: String,
        after: Option<Millis>,
    },
    /// It will never succeed.
    Refused(String),
}
