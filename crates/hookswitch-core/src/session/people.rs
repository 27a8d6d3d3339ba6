//! Who calls and who is called, as the account shows them.

use std::sync::Arc;

use hookswitch_model::{Endpoint, LegCreated};

use crate::directory::{Account, Resolved};

/// How somebody who is called is shown.
pub(super) fn called_endpoint(leg: &LegCreated, person: &Resolved) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        phone_number: Some(person.number.clone()),
        sent_number: Some(leg.callee.clone()).filter(|sent| *sent != person.number),
        name: person.name.clone().or_else(|| leg.callee_name.clone()),
        extension: person.extension,
        device: None,
    })
}

/// How the caller is shown.
pub(super) fn caller_endpoint(leg: &LegCreated, known: Option<Resolved>, account: &Account) -> Arc<Endpoint> {
    if leg.caller.withheld {
        return Arc::new(Endpoint { name: Some(Arc::from("Anonymous")), ..Endpoint::default() });
    }
    let extension = known.as_ref().and_then(|known| known.extension);
    let (number, name) = known.map_or((None, None), |known| (Some(known.number), known.name));
    Arc::new(Endpoint {
        sent_number: leg.caller.number.clone().filter(|sent| number.as_ref() != Some(sent)),
        phone_number: number,
        name: name.or_else(|| leg.caller.name.clone()),
        extension,
        device: extension.map(|extension| account.device(extension)),
    })
}
