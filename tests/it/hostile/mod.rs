//! Framing attacks, on both sides. Rules D-10 to D-42, and D-90 to D-93 for backends.
//!
//! Each case is one way in which two programs have been made to disagree on where a message ends.
//! The answer is always the same: one error, and the connection is over.

mod h2_floods;
mod h2_heads;
mod h2_work;
mod limits;
mod poisoning;
mod requests;
mod resets;
mod responses;
mod siege;
mod slow;
mod stalls;
