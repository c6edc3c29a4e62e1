//! Whether a failed candidate request may be served again by the active environment.

use http::Method;

/// What is known of a request when its attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct Fallen<'a> {
    pub method: &'a Method,
    pub has_idempotency_key: bool,
    /// The connection was never made: nothing of the request has left the house.
    pub unsent: bool,
    /// All of the body that was read so far can be sent again.
    pub body_kept: bool,
    /// A byte of an answer has gone to the client.
    pub answered: bool,
    pub elapsed: crate::time::Millis,
    pub deadline: crate::time::Millis,
}

/// Safe methods (RFC 9110 9.2.1), or any that the client itself has made harmless to repeat, or any that never left.
pub fn is_safe(fallen: Fallen<'_>) -> bool {
    let repeatable =
        matches!(*fallen.method, Method::GET | Method::HEAD | Method::OPTIONS) || fallen.has_idempotency_key;
    !fallen.answered && fallen.body_kept && (fallen.unsent || repeatable) && fallen.elapsed < fallen.deadline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    #[test]
    fn only_what_is_harmless_to_repeat_is_repeated() {
        let get = Fallen {
            method: &Method::GET,
            has_idempotency_key: false,
            unsent: false,
            body_kept: true,
            answered: false,
            elapsed: Millis(10),
            deadline: Millis(100),
        };
        let post = Fallen { method: &Method::POST, ..get };
        assert!(is_safe(get));
        assert!(
            is_safe(Fallen { method: &Method::OPTIONS, ..get }) && is_safe(Fallen { method: &Method::HEAD, ..get })
        );
        assert!(
            !is_safe(post)
                && !is_safe(Fallen { method: &Method::PUT, ..get })
                && !is_safe(Fallen { method: &Method::DELETE, ..get })
        );
        assert!(is_safe(Fallen { has_idempotency_key: true, ..post }));
        assert!(is_safe(Fallen { unsent: true, ..post }), "a connection that was never made");
        assert!(!is_safe(Fallen { answered: true, ..get }), "a byte has gone to the client");
        assert!(!is_safe(Fallen { body_kept: false, has_idempotency_key: true, ..post }), "the body is gone");
        assert!(!is_safe(Fallen { elapsed: Millis(100), ..get }), "past the deadline");
    }
}
