//! The published JSON: one event as a subscriber receives it (contract events §1 and §2).

use hookswitch_model::{
    ActiveCall, CallChange, DeviceId, Endpoint, Event, ExtensionId, Iso, NotificationId, Party, PartyId,
    Recording, SipData, StatusCode, SubscriptionId, TelephonySessionId, Timestamp,
};

use crate::filter::Projection;
use crate::hash::IdHash;
use crate::presence::{Family, statuses_of, telephony_status};

/// The `serverId` of every event unless configured otherwise.
pub const SERVER_ID: &str = "10.0.0.1.TAM";

/// The key behind the server in notifications of parties.
const EVENT_TIME: &str = r#","eventTime":""#;

/// Facts that the notifications of one subscription have in common.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The hash that the ids of the notifications begin with.
    ids: IdHash,
    /// Text between the values that differ, with ids that do not.
    head: String,
    server: String,
    subscription: SubscriptionId,
    owner: ExtensionId,
}

impl Subscriber {
    /// A subscription and the extension of the user who owns it; `server_id` is
    /// the private address of the serving node and `.TAM`.
    pub fn new(subscription: SubscriptionId, owner: ExtensionId, server_id: &str) -> Self {
        let mut server = Vec::new();
        Json(&mut server).text(server_id);
        let server = String::from_utf8_lossy(&server);
        Self {
            ids: IdHash::new("notification").part(&subscription.as_u128().to_be_bytes()),
            head: format!(r#"","subscriptionId":"{subscription}","ownerId":"{owner}","body":{{"sequence":"#),
            server: format!(r#"","serverId":{server}{EVENT_TIME}"#),
            subscription,
            owner,
        }
    }

    /// The subscription of a replay: its id derives from the filters, in their order.
    pub fn of_replay(filters: &[String], owner: ExtensionId) -> Self {
        let hash =
            filters.iter().fold(IdHash::new("subscription"), |hash, filter| hash.part(filter.as_bytes()));
        Self::new(SubscriptionId::from_bits(hash.u128()), owner, SERVER_ID)
    }

    /// The `uuid` of the notification of an event: the same whenever it is sent.
    pub fn notification_id(&self, event: &Event) -> NotificationId {
        self.notification_id_of(event.session.id, event.sequence)
    }

    /// The `uuid` of any notification of an event: the same whenever it is sent, and another for each.
    pub fn id_of(&self, event: &Event, projection: Projection) -> NotificationId {
        let Projection::Calls { family, of_account, .. } = projection else {
            return self.notification_id(event);
        };
        let hash = self.ids.clone().part(&event.session.id.as_u128().to_be_bytes());
        let hash = hash.number(u64::from(event.sequence)).part(family.path().as_bytes());
        NotificationId::new((hash.number(u64::from(of_account)).u64() >> 1).max(1))
    }

    /// The same by what names the event.
    pub fn notification_id_of(&self, session: TelephonySessionId, sequence: u32) -> NotificationId {
        let hash = self.ids.clone().part(&session.as_u128().to_be_bytes()).number(u64::from(sequence));
        NotificationId::new((hash.u64() >> 1).max(1))
    }

    /// Appends a notification of an event, which made this change, as compact JSON, without a line end.
    pub fn write_any(
        &self,
        (event, change): (&Event, Option<&CallChange>),
        projection: Projection,
        sent: Timestamp,
        out: &mut Vec<u8>,
    ) {
        if let (Projection::Calls { .. }, Some(change)) = (projection, change) {
            self.write_calls(event, change, projection, sent, out);
        } else {
            self.write(event, projection, sent, out);
        }
    }

    /// Appends what an event has changed of its extension's calls.
    fn write_calls(
        &self,
        event: &Event,
        change: &CallChange,
        projection: Projection,
        sent: Timestamp,
        out: &mut Vec<u8>,
    ) {
        let Projection::Calls { family, of_account, detailed, sip_data } = projection else { return };
        let mut json = Json(out);
        json.raw(r#"{"uuid":""#).number(self.id_of(event, projection).as_u64());
        json.raw(r#"","event":"/restapi/v1.0/account/"#).number(event.session.account.as_u64());
        if let Some(extension) = event.party.extension.filter(|_| !of_account) {
            json.raw("/extension/").number(extension.as_u64());
        }
        json.raw("/").raw(family.path()).raw(match (family, detailed, sip_data) {
            (Family::Presence, _, true) => "?detailedTelephonyState=true&sipData=true",
            (Family::Presence, true, false) => "?detailedTelephonyState=true",
            (Family::AnsweredElsewhere, ..) => "?action=call-answered-elsewhere",
            _ => "",
        });
        json.raw(r#"","timestamp":""#).ascii(Iso::new(sent).as_bytes());
        let Self { subscription, owner, .. } = self;
        json.raw(&format!(r#"","subscriptionId":"{subscription}","ownerId":"{owner}","body":{{"#));
        if let Some(extension) = event.party.extension {
            json.raw(r#""extensionId":""#).number(extension.as_u64()).raw(r#"","#);
        }
        if family == Family::Presence {
            json.presence(change, detailed, sip_data);
        } else {
            json.raw(r#""action":""#).raw(family.action()).raw("\"");
            self.write_call(event, &mut json);
        }
        json.raw("}}");
    }

    /// Appends whose call it is that rings, or has ended (contract events §2 has the same things in other places).
    fn write_call(&self, event: &Event, json: &mut Json<'_>) {
        let (session, party) = (&event.session, &event.party);
        json.raw(r#","sessionId":""#).number(session.session_id.as_u64());
        json.raw(r#"","telephonySessionId":"s-"#).ascii(session.id.digits().as_bytes());
        json.raw(&self.server[..self.server.len() - EVENT_TIME.len()]);
        json.side([r#","from":"#, r#","fromName":"#], &party.from);
        json.side([r#","to":"#, r#","toName":"#], &party.to);
        json.raw(r#","sid":""#).number(pickup_number(party.id)).raw("\"");
    }

    /// Appends the notification of an event's party as compact JSON, without a line end.
    pub fn write(&self, event: &Event, projection: Projection, sent: Timestamp, out: &mut Vec<u8>) {
        let mut buffers = <[itoa::Buffer; 2]>::default();
        let values = Values::of(event, &mut buffers);
        self.beginning(event, &values, sent, out);
        self.rest(event, &values, projection, out);
    }

    /// Appends the beginning of the notification of an event's party, up to the value of its `sequence`: all that is
    /// this subscription's own.
    pub fn write_beginning(&self, event: &Event, sent: Timestamp, out: &mut Vec<u8>) {
        self.beginning(event, &Values::of(event, &mut <[itoa::Buffer; 2]>::default()), sent, out);
    }

    /// Appends the rest of it, from the value of `sequence` on: the same for all subscribers of a server.
    pub fn write_rest(&self, event: &Event, projection: Projection, out: &mut Vec<u8>) {
        self.rest(event, &Values::of(event, &mut <[itoa::Buffer; 2]>::default()), projection, out);
    }

    fn beginning(&self, event: &Event, values: &Values<'_>, sent: Timestamp, out: &mut Vec<u8>) {
        let &Values { account, extension, at } = values;
        let mut json = Json(out);
        json.raw(r#"{"uuid":""#).number(self.notification_id(event).as_u64());
        json.raw(r#"","event":"/restapi/v1.0/account/"#).raw(account);
        if let Some(extension) = extension {
            json.raw("/extension/").raw(extension);
        }
        let sent = if sent == event.at { at } else { Iso::new(sent) };
        json.raw(r#"/telephony/sessions","timestamp":""#).ascii(sent.as_bytes());
        json.raw(&self.head);
    }

    fn rest(&self, event: &Event, values: &Values<'_>, projection: Projection, out: &mut Vec<u8>) {
        let (session, party) = (&event.session, &event.party);
        let &Values { account, extension, at } = values;
        let mut json = Json(out);
        json.number(event.sequence.into());
        json.raw(r#","sessionId":""#).number(session.session_id.as_u64());
        let digits = session.id.digits();
        json.raw(r#"","telephonySessionId":"s-"#).ascii(digits.as_bytes());
        json.raw(&self.server).ascii(at.as_bytes());
        json.raw(r#"","parties":[{"accountId":""#);
        if party.account == session.account {
            json.raw(account);
        } else {
            json.number(party.account.as_u64());
        }
        if let Some(extension) = extension {
            json.raw(r#"","extensionId":""#).raw(extension);
        }
        json.raw(r#"","id":""#);
        if party.id.session == session.id {
            json.raw("p-").ascii(digits.as_bytes()).raw("-").number(party.id.number.into());
        } else {
            json.party(party.id);
        }
        json.raw(r#"","direction":""#).raw(party.direction.as_str());
        json.raw(r#"","to":{"#).endpoint(&party.to);
        json.raw(r#"},"from":{"#).endpoint(&party.from);
        json.raw(r#"},"status":{"#).status(party);
        json.raw("}");
        if party.queue_call {
            json.raw(r#","queueCall":true"#);
        }
        json.raw(r#","park":{"#);
        if let Some(id) = &party.park {
            json.raw(r#""id":"#).text(id);
        }
        json.raw(r#"},"missedCall":"#).flag(party.missed_call);
        json.raw(r#","standAlone":"#).flag(party.stand_alone);
        json.raw(r#","muted":"#).flag(party.muted);
        if let Some(role) = party.conference_role {
            json.raw(r#","conferenceRole":""#).raw(role.as_str()).raw("\"");
        }
        if let Some(role) = party.ring_out_role {
            json.raw(r#","ringOutRole":""#).raw(role.as_str()).raw("\"");
        }
        json.recordings(&party.recordings);
        let with_sip = projection == Projection::WHOLE;
        if let Some(sip) = party.sip.as_ref().filter(|_| with_sip) {
            json.sip_data(sip);
        }
        if party.queue_call {
            json.ui_call_info(party);
        }
        json.raw(r#"}],"origin":{"type":""#).raw(session.origin.as_str()).raw(r#""}}}"#);
    }

    /// Appends the reminder that the subscription is about to expire, and gives its `uuid`; `due` tells it
    /// from other reminders (contract subscriptions §1.2).
    pub fn write_reminder(
        &self,
        threshold_secs: u64,
        interval_secs: u64,
        expires_in_secs: u64,
        due: Timestamp,
        sent: Timestamp,
        out: &mut Vec<u8>,
    ) -> NotificationId {
        let Self { subscription, owner, .. } = self;
        let hash = IdHash::new("reminder").part(&subscription.as_u128().to_be_bytes());
        let hash = hash.number(due.as_micros().cast_unsigned());
        let id = NotificationId::new((hash.u64() >> 1).max(1));
        let event = format!(
            "/restapi/v1.0/subscription/{subscription}?threshold={threshold_secs}&interval={interval_secs}"
        );
        let mut json = Json(out);
        json.raw(r#"{"uuid":""#).number(id.as_u64()).raw(r#"","event":""#).raw(&event);
        json.raw(r#"","timestamp":""#).ascii(Iso::new(sent).as_bytes());
        json.raw(&format!(
            r#"","subscriptionId":"{subscription}","ownerId":"{owner}","body":{{"expiresIn":"#
        ));
        json.number(expires_in_secs).raw("}}");
        id
    }
}

/// What a notification has more than once, made once.
struct Values<'a> {
    account: &'a str,
    extension: Option<&'a str>,
    at: Iso,
}

impl<'a> Values<'a> {
    fn of(event: &Event, [account, extension]: &'a mut [itoa::Buffer; 2]) -> Self {
        Self {
            account: account.format(event.session.account.as_u64()),
            extension: event.party.extension.map(|id| extension.format(id.as_u64()) as &str),
            at: Iso::new(event.at),
        }
    }
}

/// Writes JSON whose keys and their order are fixed: what stands between the values is written as it
/// is, and only text from outside is escaped.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    fn ascii(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend_from_slice(text);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.raw(if flag { "true" } else { "false" })
    }

    /// A string in quotes, escaped.
    fn text(&mut self, text: &str) -> &mut Self {
        // Hardly any text has something to escape; without an early exit many bytes are looked at at once.
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return self.raw("\"").raw(text).raw("\"");
        }
        serde_json::to_writer(&mut *self.0, text).expect("writing text to memory does not fail");
        self
    }

    fn party(&mut self, id: PartyId) -> &mut Self {
        self.raw("p-").ascii(id.session.digits().as_bytes()).raw("-").number(id.number.into())
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let mut comma = "";
        for (key, text) in [(r#""phoneNumber":"#, &endpoint.phone_number), (r#""name":"#, &endpoint.name)] {
            if let Some(text) = text {
                self.raw(comma).raw(key).text(text);
                comma = ",";
            }
        }
        let extension = endpoint.extension.map(ExtensionId::as_u64);
        let device = endpoint.device.map(DeviceId::as_u64);
        for (key, id) in [(r#""extensionId":""#, extension), (r#""deviceId":""#, device)] {
            if let Some(id) = id {
                self.raw(comma).raw(key).number(id).raw("\"");
                comma = ",";
            }
        }
    }

    fn status(&mut self, party: &Party) {
        let status = &party.status;
        self.raw(r#""code":""#).raw(status.code.as_str());
        if let Some(reason) = status.reason {
            self.raw(r#"","reason":""#).raw(reason.as_str());
        }
        self.raw("\"");
        if let Some(park_data) = &status.park_data {
            self.raw(r#","parkData":"#).text(park_data);
        }
        if let Some(peer) = &status.peer {
            self.raw(r#","peerId":{"sessionId":""#).number(peer.session.as_u64());
            self.raw(r#"","telephonySessionId":"s-"#).ascii(peer.party.session.digits().as_bytes());
            self.raw(r#"","partyId":""#).party(peer.party).raw(r#""}"#);
        }
        if let Some(extension) = party.extension.filter(|_| status.mobile_pickup) {
            let sid = pickup_number(party.id);
            self.raw(r#","mobilePickupData":{"ccMailboxes":[""#).number(extension.as_u64());
            self.raw(r##""],"to":"#"##)
                .number(sid)
                .raw(r#"@sip.hookswitch.invalid:5060","sid":""#)
                .number(sid);
            self.raw(r#"","srvLvl":"-149699523","srvLvlExt":"406"}"#);
        }
        self.raw(r#","rcc":false"#);
    }

    fn recordings(&mut self, recordings: &[Recording]) {
        for (index, recording) in recordings.iter().enumerate() {
            self.raw(if index == 0 { r#","recordings":[{"id":""# } else { r#",{"id":""# });
            self.number(recording.id.as_u64()).raw(r#"","active":"#).flag(recording.active).raw("}");
        }
        if !recordings.is_empty() {
            self.raw("]");
        }
    }

    /// Shows a call of a queue on the screen of an agent.
    fn ui_call_info(&mut self, agent: &Party) {
        let queue = agent.to.name.as_ref().filter(|_| agent.to.extension != agent.extension);
        let Some(queue) = queue else { return };
        self.raw(r#","uiCallInfo":{"primary":{"type":"QueueName","value":"#).text(queue).raw("}");
        if let Some(caller) = &agent.from.name {
            self.raw(r#","additional":{"type":"CallerIdName","value":"#).text(caller).raw("}");
        }
        self.raw("}");
    }

    /// Number and name of one side, as far as they are known, under these keys.
    fn side(&mut self, [number_key, name_key]: [&str; 2], side: &Endpoint) {
        for (key, text) in [(number_key, &side.phone_number), (name_key, &side.name)] {
            if let Some(text) = text {
                self.raw(key).text(text);
            }
        }
    }

    /// The presence of an extension behind a change of its calls.
    fn presence(&mut self, change: &CallChange, detailed: bool, sip_data: bool) {
        let codes = change.calls.iter().map(|call| call.event.party.status.code);
        let (telephony, presence) = statuses_of(codes);
        self.raw(r#""telephonyStatus":""#).raw(telephony).raw("\"");
        if detailed {
            self.raw(r#","activeCalls":["#);
            for (index, call) in change.calls.iter().enumerate() {
                self.raw(if index == 0 { "" } else { "," }).active_call(call, sip_data);
            }
            self.raw("]");
        }
        self.raw(r#","sequence":"#).number(change.sequence);
        self.raw(r#","presenceStatus":""#).raw(presence);
        self.raw(r#"","userStatus":"Available","dndStatus":"TakeAllCalls","allowSeeMyPresence":true"#);
        self.raw(r#","ringOnMonitoredCall":false,"pickUpCallsOnHold":false"#);
        if detailed {
            let going_on = |call: &&ActiveCall| !call.event.party.status.code.is_terminal();
            self.raw(r#","totalActiveCalls":"#).number(change.calls.iter().filter(going_on).count() as u64);
        }
    }

    fn active_call(&mut self, call: &ActiveCall, sip_data: bool) {
        let (session, party) = (&call.event.session, &call.event.party);
        let status = telephony_status(party.status.code);
        self.raw(r#"{"id":"#);
        match connected_call_id(party) {
            Some(id) => self.text(id),
            None => self.raw("\"").party(party.id).raw("\""),
        };
        self.raw(r#","direction":""#).raw(party.direction.as_str()).raw("\"");
        if party.queue_call {
            self.raw(r#","queueCall":true"#);
        }
        self.side([r#","from":"#, r#","fromName":"#], &party.from);
        self.side([r#","to":"#, r#","toName":"#], &party.to);
        self.raw(r#","startTime":""#).ascii(Iso::new(call.since).as_bytes());
        self.raw(r#"","telephonyStatus":""#).raw(status).raw("\"");
        if let Some(sip) = party.sip.as_ref().filter(|_| sip_data) {
            self.sip_data(sip);
        }
        self.raw(r#","sessionId":""#).number(session.session_id.as_u64());
        self.raw(r#"","telephonySessionId":"s-"#).ascii(session.id.digits().as_bytes());
        self.raw(r#"","partyId":""#).party(party.id).raw("\"");
        if party.status.code.is_terminal() {
            self.raw(r#","terminationType":"final""#);
        }
        self.raw("}");
    }

    fn sip_data(&mut self, sip: &SipData) {
        self.raw(r#","sipData":{"#);
        if let Some(to_tag) = &sip.to_tag {
            self.raw(r#""toTag":"#).text(to_tag).raw(",");
        }
        if !sip.from_tag.is_empty() {
            self.raw(r#""fromTag":"#).text(&sip.from_tag).raw(",");
        }
        self.raw(r#""callId":"#).text(&sip.call_id).raw("}");
    }
}

/// The Call-ID of a party's leg, by which SIP applications find their call, once it is connected and if a source
/// has shown it.
pub fn connected_call_id(party: &Party) -> Option<&str> {
    let is_connected = !matches!(party.status.code, StatusCode::Setup | StatusCode::Proceeding);
    party.sip.as_ref().filter(|_| is_connected).map(|sip| &*sip.call_id)
}

/// The number by which a ringing call could be picked up: 14 digits, the same while it rings.
fn pickup_number(party: PartyId) -> u64 {
    let hash = IdHash::new("pickup").part(&party.session.as_u128().to_be_bytes()).number(party.number.into());
    10_000_000_000_000 + hash.u64() % 90_000_000_000_000
}
