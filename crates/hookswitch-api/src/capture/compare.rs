//! Comparison of two lists of events: whatever the ids are, and with other names and numbers.

use std::collections::BTreeMap;

use hookswitch_model::{Endpoint, Event, TelephonySessionId};

use super::anonymise::Anonymiser;

/// The events of each session, in a form that does not depend on ids; the sessions in order.
pub(super) type Shapes = Vec<Vec<String>>;

/// The shape of some events, with other names and numbers if they were replaced.
pub(super) fn shapes<'a>(events: impl Iterator<Item = &'a Event>, anonymiser: Option<&Anonymiser>) -> Shapes {
    let mut sessions: BTreeMap<TelephonySessionId, Vec<String>> = BTreeMap::new();
    for event in events {
        sessions.entry(event.session.id).or_default().push(shape(event, anonymiser));
    }
    let mut shapes: Shapes = sessions.into_values().collect();
    shapes.sort();
    shapes
}

fn shape(event: &Event, anonymiser: Option<&Anonymiser>) -> String {
    let party = &event.party;
    let side = |endpoint: &Endpoint| {
        let number = endpoint.phone_number.as_deref().unwrap_or("-");
        let name = endpoint.name.as_deref().unwrap_or("-");
        let kind = if endpoint.extension.is_some() { "inside" } else { "outside" };
        match anonymiser {
            None => format!("{number} {name:?} {kind}"),
            Some(anonymiser) => {
                format!("{} {:?} {kind}", anonymiser.shown_number(number), anonymiser.shown_name(name))
            }
        }
    };
    let status = &party.status;
    format!(
        "{} {} p{} {} {} -> {} {} {:?} {} {} {} {} {:?} {:?} {} {} {}",
        event.at.as_micros(),
        event.sequence,
        party.id.number,
        party.direction,
        side(&party.from),
        side(&party.to),
        status.code,
        status.reason,
        status.park_data.is_some(),
        status.peer.is_some(),
        party.park.is_some(),
        party.missed_call,
        party.conference_role,
        party.ring_out_role,
        party.queue_call,
        party.recordings.len(),
        event.session.origin,
    )
}

/// Returns what is wanted and not given, or is given otherwise; none if all that is wanted is given.
pub(super) fn difference(wanted: &Shapes, given: &Shapes, sessions: usize) -> Option<String> {
    let mut left: Vec<&Vec<String>> = given.iter().collect();
    for session in wanted {
        if let Some(place) = left.iter().position(|other| *other == session) {
            left.remove(place);
            continue;
        }
        let begins =
            |other: &&Vec<String>| other.iter().zip(session).take_while(|(one, two)| one == two).count();
        let nearest = left.iter().max_by_key(|other| begins(other));
        let Some(nearest) = nearest else {
            return Some(format!("one of {sessions} sessions is missing"));
        };
        let agree = begins(nearest);
        let of = |list: &[String]| list.get(agree).map_or("nothing", |line| line).to_owned();
        return Some(format!(
            "after {agree} events that agree the log has \"{}\" and the replay \"{}\"",
            of(session),
            of(nearest)
        ));
    }
    None
}
