//! Measure of how well the legs of made-up traffic were joined.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::collections::HashMap;

use hookswitch_core::directory::Directory;
use hookswitch_model::{Event, Rule, TelephonySessionId, Timestamp};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::Message;

use super::{Side, Traffic};
use crate::ladder::{ACCOUNT, START_MICROS, pipeline_of_sip, ready, send_captured};

/// Counts of how the legs that a switch placed were joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joining {
    /// Legs of targets whose caller's leg is in view.
    pub legs: usize,
    /// Legs that were joined to the session of a caller.
    pub joined: usize,
    /// Of the joined ones, those in the session of their own caller, or of a call that nothing tells apart from it.
    pub right: usize,
    /// Of the right ones, those in the session of the twin of their call.
    pub with_twin: usize,
    /// Of the joined ones, those that were joined as not sure.
    pub unsure: usize,
    /// Of the unsure ones, those that are right.
    pub unsure_right: usize,
    /// Of the joined ones, those that came from another address of the switch, by both numbers.
    pub by_both_numbers: usize,
    /// Of these, those that are right.
    pub by_both_numbers_right: usize,
}

impl Joining {
    /// Joined legs that are right, of all that were joined.
    pub fn precision(&self) -> f64 {
        self.right as f64 / self.joined.max(1) as f64
    }

    /// Legs that belong to a caller in view and were joined to it.
    pub fn recall(&self) -> f64 {
        self.right as f64 / self.legs.max(1) as f64
    }

    /// Of the legs that were joined as sure, those that are right.
    pub fn sure_right(&self) -> f64 {
        let sure = self.joined - self.unsure;
        (self.right - self.unsure_right) as f64 / sure.max(1) as f64
    }
}

/// Sends traffic through the product and compares the sessions of its events with the truth.
pub fn measure(traffic: &Traffic) -> Joining {
    measure_with(&Directory::built_in(ACCOUNT), traffic)
}

/// The same with a directory.
pub fn measure_with(directory: &Directory, traffic: &Traffic) -> Joining {
    let (events, call_ids) = events(directory, traffic);
    let mut opened: HashMap<TelephonySessionId, &str> = HashMap::new();
    let mut sessions: HashMap<&str, (TelephonySessionId, Rule)> = HashMap::new();
    for event in &events {
        for input in event.causes.iter() {
            let call_id = &*call_ids[input.number as usize];
            sessions.entry(call_id).or_insert((event.session.id, event.rule));
            opened.entry(event.session.id).or_insert(call_id);
        }
    }
    let mut joining = Joining::default();
    for (call_id, truth) in &traffic.truth {
        if truth.side == Side::Target {
            joining.legs += 1;
        }
        let Some((session, rule)) = sessions.get(&**call_id) else { continue };
        let opener = opened[session];
        let first = traffic.truth[opener];
        let is_join = truth.side == Side::Target && first.side == Side::Caller;
        if opener == call_id || (first.call == truth.call && !is_join) {
            continue; // it has a session of its own, or one with others of its call
        }
        joining.joined += 1;
        let unsure = *rule == Rule::JoinedNotSurely;
        let right = is_join && first.call.twins == truth.call.twins;
        joining.right += usize::from(right);
        joining.with_twin += usize::from(right && first.call != truth.call);
        joining.unsure += usize::from(unsure);
        joining.unsure_right += usize::from(unsure && right);
        let by_both_numbers = *rule == Rule::JoinedByBothNumbers;
        joining.by_both_numbers += usize::from(by_both_numbers);
        joining.by_both_numbers_right += usize::from(by_both_numbers && right);
    }
    joining
}

/// The events, and the Call-ID of each message by its number.
fn events(directory: &Directory, traffic: &Traffic) -> (Vec<Event>, Vec<String>) {
    let mut pipeline = pipeline_of_sip(directory.clone());
    let (mut events, mut call_ids) = (Vec::new(), vec![String::new()]);
    for (number, packet) in (1..).zip(&traffic.packets) {
        let message = Message::parse(&packet.payload).expect("a message");
        call_ids.push(String::from_utf8_lossy(message.call_id()).into_owned());
        let captured = Captured {
            time: Timestamp::from_micros(START_MICROS + packet.at_micros),
            transport: Transport::Udp,
            src: packet.src,
            dst: packet.dst,
            packet: number,
            correlation: None,
            payload: &packet.payload,
        };
        send_captured(&mut pipeline, &captured, number);
        events.extend(ready(&mut pipeline));
    }
    pipeline.finish();
    events.extend(ready(&mut pipeline));
    (events, call_ids)
}
