//! What the switch answers when it is asked what goes on: after a connection was lost, or at its
//! beginning.

use hookswitch_model::{Cause, Signal, SignalKind};

use super::call::Side;
use super::channel::{Calling, Leg, Moment, State};
use super::follower::Follower;
use super::message::{Event, Key};

impl Follower {
    /// Says that what follows is a list of all channels.
    pub fn listing_begins(&mut self) {
        for channel in self.channels.values_mut() {
            channel.listed = false;
        }
    }

    /// A channel of the list.
    pub(super) fn listed(&mut self, event: &Event<'_>, now: Moment) -> bool {
        let known = self.number(event.get(Key::Uniqueid));
        let Some(number) = known.or_else(|| self.add(event, Side::Own, now)) else { return true };
        let bridge = event.get(Key::BridgeId);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.listed = true;
            channel.last_seen = now.at;
        }
        let _ = bridge;
        true
    }

    /// The list is complete: what it does not name has ended, and what nobody knew goes on.
    pub(super) fn listing_ends(&mut self, now: Moment, out: &mut Vec<Signal>) -> bool {
        for number in self.in_order() {
            let Some(channel) = self.channels.get(&number) else { continue };
            if channel.listed {
                continue;
            }
            if channel.is_told() {
                out.push(self.signal(self.leg(number), SignalKind::Ended(Cause::Unlisted), now));
            }
            self.forget(number);
        }
        let _ = (Calling::Switch(None), Leg::Untold, State::Up);
        true
    }
}
