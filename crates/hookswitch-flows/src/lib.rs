//! Call flows written as text, and the events that they must give.
//!
//! A flow goes through the reader, the trackers and the session machine, and links nothing of server,
//! store or API, so that a change of the machine is tried within seconds. [`ladder`] reads SIP message by
//! message; [`asterisk`] and [`freeswitch`] read what those switches tell; [`told`] sends what a switch
//! tells through the machine, alone or beside its SIP; [`dense`] makes traffic of many calls at once, and
//! measures how well legs are joined. The flows themselves stand in `tests/it/`.

#![allow(missing_docs, reason = "the items are those of tests; the words of a flow are told in each module")]
#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

pub mod asterisk;
pub mod cases;
pub mod dense;
pub mod freeswitch;
pub mod ladder;
pub mod recordings;
pub mod score;
pub mod told;

/// Gives how many cases a test takes: few by default, all when the environment says
/// `HOOKSWITCH_TEST_SIZE=full`, as `make robustness` does.
pub fn size(few: usize, full: usize) -> usize {
    if std::env::var_os("HOOKSWITCH_TEST_SIZE").is_some_and(|size| size == "full") { full } else { few }
}
