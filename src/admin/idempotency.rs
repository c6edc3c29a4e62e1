//! Idempotency-Keys: what was carried out under a key is not carried out twice, and its response is repeated.
//!
//! Refusals are not stored: they changed nothing, and the same request may be accepted a minute later.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use judgement::time::Millis;
use parking_lot::{Mutex, MutexGuard};

/// Responses that are stored; each takes a few hundred bytes.
const MOST_KEPT: usize = 10_000;
/// How long: a caller that repeats a key tomorrow means something else.
pub const KEPT: Millis = Millis::seconds(24 * 3600);

/// A response that can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    pub body: String,
    /// Its ETag.
    pub generation: Option<u64>,
}

/// The caller and their key.
type Name = (String, String);
/// SHA-256 of the request.
pub type RequestDigest = [u8; 32];

#[derive(Debug)]
struct Slot {
    print: RequestDigest,
    since: Millis,
    /// `None` while it is in progress.
    reply: Option<StoredReply>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<Name, Slot>,
    /// Oldest first.
    order: VecDeque<Name>,
}

#[derive(Clone, Debug, Default)]
pub struct IdempotencyKeys(Arc<Mutex<Kept>>);

/// What to do with a request.
#[derive(Debug)]
pub enum KeyState {
    First(PendingReply),
    Again(StoredReply),
    /// The key was used for a different request.
    Other,
    UnderWay,
    /// Everything stored is still in progress.
    Full,
}

impl IdempotencyKeys {
    pub fn begin(&self, name: Name, print: RequestDigest, now: Millis) -> KeyState {
        let mut kept = self.kept();
        kept.forget(now);
        match kept.slots.get(&name) {
            Some(slot) if slot.print != print => return KeyState::Other,
            Some(Slot { reply: Some(reply), .. }) => return KeyState::Again(reply.clone()),
            Some(_) => return KeyState::UnderWay,
            None if kept.slots.len() >= MOST_KEPT => return KeyState::Full,
            None => {}
        }
        kept.slots.insert(name.clone(), Slot { print, since: now, reply: None });
        kept.order.push_back(name.clone());
        KeyState::First(PendingReply { repeats: self.clone(), name })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while the lock is held cannot leave a slot half written.
        self.0.lock()
    }
}

impl Kept {
    /// Forgets old responses, and the oldest one if there is no room.
    fn forget(&mut self, now: Millis) {
        while let Some(name) = self.order.front() {
            let slot = self.slots.get(name);
            let gone = slot.is_none_or(|slot| now.since(slot.since) >= KEPT);
            let full = self.slots.len() >= MOST_KEPT && slot.is_some_and(|slot| slot.reply.is_some());
            if !gone && !full {
                return;
            }
            self.slots.remove(name);
            self.order.pop_front();
        }
    }
}

/// A request in progress. If it is dropped without a response, it leaves no trace.
#[derive(Debug)]
pub struct PendingReply {
    repeats: IdempotencyKeys,
    name: Name,
}

impl PendingReply {
    pub fn done(self, reply: &StoredReply) {
        if let Some(slot) = self.repeats.kept().slots.get_mut(&self.name) {
            slot.reply = Some(reply.clone());
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        let mut kept = self.repeats.kept();
        if kept.slots.get(&self.name).is_some_and(|slot| slot.reply.is_none()) {
            kept.slots.remove(&self.name);
            kept.order.retain(|name| *name != self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        ("ann".to_owned(), key.to_owned())
    }

    fn reply(body: &str) -> StoredReply {
        StoredReply { body: body.to_owned(), generation: Some(1) }
    }

    fn first(repeats: &IdempotencyKeys, key: &str, at: Millis) -> PendingReply {
        match repeats.begin(name(key), [1; 32], at) {
            KeyState::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_repeat_gets_the_first_answer_for_a_day() {
        let repeats = IdempotencyKeys::default();
        first(&repeats, "k", Millis(0)).done(&reply("one"));
        assert!(
            matches!(repeats.begin(name("k"), [1; 32], Millis(1)), KeyState::Again(again) if again == reply("one"))
        );
        assert!(matches!(repeats.begin(name("k"), [2; 32], Millis(1)), KeyState::Other));
        assert!(matches!(repeats.begin(("bob".to_owned(), "k".to_owned()), [2; 32], Millis(1)), KeyState::First(_)));
        assert!(matches!(repeats.begin(name("k"), [2; 32], KEPT), KeyState::First(_)));
    }

    #[test]
    fn two_at_once_are_one_and_what_came_to_nothing_was_never_there() {
        let repeats = IdempotencyKeys::default();
        let ticket = first(&repeats, "k", Millis(0));
        assert!(matches!(repeats.begin(name("k"), [1; 32], Millis(1)), KeyState::UnderWay));
        drop(ticket);
        assert!(matches!(repeats.begin(name("k"), [2; 32], Millis(1)), KeyState::First(_)));
    }

    #[test]
    fn the_oldest_answers_make_room() {
        let repeats = IdempotencyKeys::default();
        for n in 0..MOST_KEPT + 5 {
            first(&repeats, &n.to_string(), Millis(n as u64)).done(&reply(""));
        }
        assert!(repeats.kept().slots.len() <= MOST_KEPT && repeats.kept().order.len() <= MOST_KEPT);
        assert!(matches!(repeats.begin(name("0"), [1; 32], Millis(0)), KeyState::First(_)));
    }
}
