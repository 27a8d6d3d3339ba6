//! Asks messages for everything that they can give.

use hookswitch_signal::sip::{Message, NameAddr, Privacy, Reason, StartLine, Uri, Via};

/// Calls every accessor; gives a number that depends on all of them.
pub(crate) fn touch(message: &Message<'_>) -> usize {
    let mut sum = message.start_line().len() + message.call_id().len() + message.body().len();
    sum += message.cseq().method.to_string().len();
    if let StartLine::Request { uri, .. } = message.start() {
        sum += touch_uri(uri);
    }
    sum += usize::from(message.start().status().unwrap_or_default());
    sum += touch_address(&message.from()) + touch_address(&message.to());
    sum += message.from_tag().map_or(0, <[u8]>::len) + message.to_tag().map_or(0, <[u8]>::len);
    sum += message.vias().map(|via| touch_via(&via)).sum::<usize>() + message.via_count();
    sum += touch_via(&message.top_via());
    sum += message.max_forwards().unwrap_or_default() as usize;
    sum += message.contacts().map(|contact| touch_address(&contact)).sum::<usize>();
    sum += usize::from(message.contact_is_star()) + usize::from(message.contact().is_some());
    sum += message.reasons().map(|reason| touch_reason(&reason)).sum::<usize>();
    sum += [message.replaces(), message.join(), message.target_dialog()].iter().flatten().count();
    sum += message.refer_to().map_or(0, |address| touch_address(&address));
    sum += message.refer_to_replaces().map_or(0, |dialog| dialog.dialog().call_id.len());
    sum += message.referred_by().map_or(0, |address| touch_address(&address));
    sum += message.asserted_identities().map(|id| touch_address(&id)).sum::<usize>();
    sum += message.preferred_identity().map_or(0, |id| touch_address(&id));
    for id in message.remote_party_ids() {
        sum += id.party().map_or(0, <[u8]>::len) + id.privacy().map_or(0, <[u8]>::len);
        sum += usize::from(id.is_screened());
    }
    sum += message.remote_party_id().map_or(0, |id| touch_address(&id.address));
    sum += message.privacy().map_or(0, |privacy| usize::from(privacy.hides_identity()));
    sum += message.diversions().filter_map(|diversion| diversion.reason()).map(<[u8]>::len).sum::<usize>();
    for step in message.history_info() {
        sum += touch_address(&step.address) + step.index().map_or(0, <[u8]>::len);
        sum += usize::from(step.cause().unwrap_or_default());
        sum += step
            .reason()
            .and_then(|reason| Reason::parse(&reason).map(|reason| touch_reason(&reason)))
            .unwrap_or_default();
        sum += step.privacy().map_or(0, |privacy| Privacy::new(&privacy).tokens().count());
    }
    sum += message.session_id().map_or(0, |id| id.local.len());
    sum += message.user_to_user().map_or(0, |data| data.data().len() + data.encoding().len());
    sum += message.event().map_or(0, |event| event.package().len() + event.id().map_or(0, <[u8]>::len));
    if let Some(state) = message.subscription_state() {
        sum += state.state().len() + state.reason().map_or(0, <[u8]>::len);
        sum += state.expires().unwrap_or_default() as usize;
    }
    sum += message.session_expires().map_or(0, |session| session.seconds as usize);
    sum += message.expires().unwrap_or_default() as usize;
    sum += message.content_type().map_or(0, |kind| kind.subtype().len());
    sum += message.user_agent().map_or(0, <[u8]>::len) + message.server().map_or(0, <[u8]>::len);
    sum += message.headers("x-cid").count() + message.headers("Via").count();
    sum += message.header("Warning").map_or(0, <[u8]>::len);
    sum += usize::from(message.sipfrag_status().unwrap_or_default());
    if let Some(sdp) = message.sdp() {
        for media in sdp.media() {
            sum += usize::from(media.port()) + media.formats().count() + media.proto().len();
            sum += usize::from(media.is_held_by_offerer()) + usize::from(media.is_t38());
            sum += media.connection().map_or(0, |connection| connection.address.len());
        }
        sum += usize::from(sdp.is_held_by_offerer()) + usize::from(sdp.is_t38());
        sum += sdp.origin().map_or(0, |origin| origin.version.len()) + usize::from(sdp.direction().is_some());
        sum += sdp.attribute("group").map_or(0, <[u8]>::len);
    }
    sum + format!("{message:?}").len()
}

pub(crate) fn touch_uri(uri: Uri<'_>) -> usize {
    uri.user_decoded().map_or(0, |user| user.len())
        + uri.number().map_or(0, |number| number.len())
        + uri.host_unbracketed().len()
        + usize::from(uri.port().unwrap_or_default())
        + uri.params().count()
        + uri.phone_context().map_or(0, <[u8]>::len)
        + uri.header("Reason").map_or(0, |reason| reason.len())
        + uri.to_string().len()
}

pub(crate) fn touch_address(address: &NameAddr<'_>) -> usize {
    touch_uri(address.uri())
        + address.display_name().map_or(0, |name| name.len())
        + address.params().into_iter().count()
        + address.tag().map_or(0, <[u8]>::len)
}

pub(crate) fn touch_via(via: &Via<'_>) -> usize {
    via.sent_by().len()
        + via.host().len()
        + via.transport().len()
        + via.received().map_or(0, <[u8]>::len)
        + usize::from(via.rport().unwrap_or_default())
        + via.unique_branch().map_or(0, <[u8]>::len)
}

pub(crate) fn touch_reason(reason: &Reason<'_>) -> usize {
    usize::from(reason.cause().unwrap_or_default()) + reason.text().map_or(0, |text| text.len())
}
