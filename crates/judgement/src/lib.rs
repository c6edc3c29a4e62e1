//! Which of two environments serves a request, whether the new one is worse, and what becomes of its release.
//!
//! Everything here is a pure function of its arguments: no IO, clock, randomness, lock or log. Time comes in as
//! milliseconds, chance as a number, and what is to be done comes out as a value. So a month of rollouts runs in a
//! second of test time, and every decision can be replayed from its record.
//!
//! # Judging two streams of outcomes
//!
//! A meter takes in what both sides did, as often as there is news, and says how strong the evidence is that the
//! candidate fails more than tolerated. You may look as often as you like: if the candidate is fine, the chance that
//! the evidence ever reaches `1 / alpha` is at most `alpha`.
//!
//! ```
//! use cutover_judgement::guard::EvidenceBudget;
//! use cutover_judgement::guard::evidence::cells::rates;
//! use cutover_judgement::guard::evidence::meter::{EvidenceMeter, MeterInput};
//! use cutover_judgement::time::Millis;
//!
//! let budget = EvidenceBudget::STANDARD;
//! let mut broken = EvidenceMeter::of_rates(1.0, budget.planned);
//! let mut healthy = broken.clone();
//! let mut seconds = 0;
//! while broken.evidence() < 1.0 / budget.alpha {
//!     // In every second the active side fails 1 of 90 requests.
//!     let active = rates(90, 1);
//!     broken.take(&MeterInput::new(Millis::seconds(1), rates(10, 3), active));
//!     healthy.take(&MeterInput::new(Millis::seconds(1), rates(10, 0), active));
//!     seconds += 1;
//! }
//! assert!(seconds < 10, "a candidate that fails three in ten is found out within seconds");
//! assert!(healthy.evidence() < 1.0, "and one that does not is left alone");
//! ```
//!
//! [`guard::judge`] combines this evidence with thresholds that users can name, and [`rollout::State`] acts on the
//! result.
//!
//! # The modules, from the bottom up
//!
//! - [`time`]: milliseconds, durations as people write them, the calendar. [`hex`]: hexadecimal digits.
//!   [`printable`]: texts of others, safe to show.
//! - [`traffic`]: which environment serves a request.
//! - [`guard`]: whether the candidate is worse.
//! - [`rollout`]: what becomes of a release: steps, promotion, rollback, and what operators may ask for.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod guard;
pub mod hex;
pub mod printable;
pub mod rollout;
pub mod time;
pub mod traffic;
