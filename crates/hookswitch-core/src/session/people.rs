//! People of a call: who calls and who is called, as the account shows them.

use std::sync::Arc;

use hookswitch_model::{Endpoint, LegCreated};

use crate::directory::{Account, Resolved};
use crate::number;

/// Returns how somebody who is called is shown.
pub(super) fn called_endpoint(leg: &LegCreated, person: &Resolved) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        phone_number: Some(person.number.clone()).filter(|number| is_number(leg, number)),
        sent_number: Some(leg.callee.clone()).filter(|sent| *sent != person.number),
        name: person.name.clone().or_else(|| leg.callee_name.clone()),
        extension: person.extension,
        device: None,
    })
}

/// Shows somebody with another number, and keeps the one that was sent.
pub(super) fn show_number(side: &mut Arc<Endpoint>, number: Arc<str>) {
    let side = Arc::make_mut(side);
    let sent = side.phone_number.replace(number);
    if let Some(sent) = sent.filter(|sent| side.phone_number.as_ref() != Some(sent)) {
        side.sent_number.get_or_insert(sent);
    }
}

/// Returns `true` if a text is a number that may be shown, and no word for none, nor the name of a phone, trunk or line.
fn is_number(leg: &LegCreated, text: &str) -> bool {
    let is_name = text.bytes().any(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    number::is_shown(text) && !(is_name && leg.endpoint.as_deref() == Some(text))
}

/// Returns how the caller is shown.
pub(super) fn caller_endpoint(leg: &LegCreated, known: Option<Resolved>, account: &Account) -> Arc<Endpoint> {
    if leg.caller.withheld {
        return Arc::new(Endpoint { name: Some(Arc::from("Anonymous")), ..Endpoint::default() });
    }
    let extension = known.as_ref().and_then(|known| known.extension);
    let (number, name) = known.map_or((None, None), |known| (Some(known.number), known.name));
    let number = number.filter(|number| is_number(leg, number));
    Arc::new(Endpoint {
        sent_number: leg.caller.number.clone().filter(|sent| number.as_ref() != Some(sent)),
        phone_number: number,
        name: name.or_else(|| leg.caller.name.clone()),
        extension,
        device: extension.map(|extension| account.device(extension)),
    })
}
