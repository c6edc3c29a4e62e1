//! Whether a failed candidate request may be served again by the active environment. Nothing of a response has gone to its
//! client by then: what fails afterwards is cut off.

use judgement::time::Millis;

/// What is known about a request whose attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedTry {
    /// By its method, or because its client says so: see `traffic::retry`.
    pub repeatable: bool,
    /// The connection was never made, so nothing of the request was sent.
    pub unsent: bool,
    /// All of the body read so far is still buffered and can be sent again.
    pub body_kept: bool,
    pub elapsed: Millis,
    pub deadline: Millis,
}

/// Whether sending the request again is harmless.
pub fn is_safe(fallen: FailedTry) -> bool {
    let FailedTry { repeatable, unsent, body_kept, elapsed, deadline } = fallen;
    body_kept && (unsent || repeatable) && elapsed < deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_harmless_to_repeat_is_repeated() {
        let get =
            FailedTry { repeatable: true, unsent: false, body_kept: true, elapsed: Millis(10), deadline: Millis(100) };
        let post = FailedTry { repeatable: false, ..get };
        assert!(is_safe(get) && !is_safe(post));
        assert!(is_safe(FailedTry { unsent: true, ..post }), "a connection that was never made");
        assert!(!is_safe(FailedTry { body_kept: false, ..get }), "the body is gone");
        assert!(!is_safe(FailedTry { elapsed: Millis(100), ..get }), "past the deadline");
    }
}
