//! The published JSON: one event as a subscriber receives it (contract events §1 and §2).

use hookswitch_model::{
    DeviceId, Endpoint, Event, ExtensionId, HexDigits, Iso, NotificationId, Party, PartyId, Recording,
    SipData, SubscriptionId, Timestamp,
};

use crate::hash::IdHash;

/// The `serverId` of every event unless configured otherwise.
pub const SERVER_ID: &str = "10.0.0.1.TAM";

/// What the notifications of one subscription have in common.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The extension of the user who owns the subscription.
    pub owner: ExtensionId,
    /// The `serverId`: the private address of the serving node and `.TAM`.
    pub server_id: String,
    /// Whether parties carry their `sipData`.
    pub sip_data: bool,
}

impl Subscriber {
    /// The subscription of a replay: its id derives from the filters, in their order.
    pub fn of_replay(filters: &[String], owner: ExtensionId) -> Self {
        let hash =
            filters.iter().fold(IdHash::new("subscription"), |hash, filter| hash.part(filter.as_bytes()));
        Self {
            subscription: SubscriptionId::from_bits(hash.u128()),
            owner,
            server_id: SERVER_ID.to_owned(),
            sip_data: false,
        }
    }

    /// The `uuid` of the notification of an event: the same whenever it is sent.
    pub fn notification_id(&self, event: &Event) -> NotificationId {
        let hash = IdHash::new("notification")
            .part(&self.subscription.as_u128().to_be_bytes())
            .part(&event.session.id.as_u128().to_be_bytes())
            .number(u64::from(event.sequence));
        NotificationId::new((hash.u64() >> 1).max(1))
    }

    /// Appends the notification of an event as compact JSON, without a line end.
    pub fn write(&self, event: &Event, sent: Timestamp, out: &mut Vec<u8>) {
        let (session, party) = (&event.session, &event.party);
        let mut json = Json(out);
        json.raw(r#"{"uuid":""#).number(self.notification_id(event).as_u64());
        json.raw(r#"","event":"/restapi/v1.0/account/"#).number(session.account.as_u64());
        if let Some(extension) = party.extension {
            json.raw("/extension/").number(extension.as_u64());
        }
        json.raw(r#"/telephony/sessions","timestamp":""#).raw(Iso::new(sent).as_str());
        json.raw(r#"","subscriptionId":""#).uuid(self.subscription);
        json.raw(r#"","ownerId":""#).number(self.owner.as_u64());
        json.raw(r#"","body":{"sequence":"#).number(event.sequence.into());
        json.raw(r#","sessionId":""#).number(session.session_id.as_u64());
        json.raw(r#"","telephonySessionId":"s-"#).raw(session.id.digits().as_str());
        json.raw(r#"","serverId":"#).text(&self.server_id);
        json.raw(r#","eventTime":""#).raw(Iso::new(event.at).as_str());
        json.raw(r#"","parties":[{"accountId":""#).number(party.account.as_u64());
        if let Some(extension) = party.extension {
            json.raw(r#"","extensionId":""#).number(extension.as_u64());
        }
        json.raw(r#"","id":""#).party(party.id);
        json.raw(r#"","direction":""#).raw(party.direction.as_str());
        json.raw(r#"","to":{"#).endpoint(&party.to);
        json.raw(r#"},"from":{"#).endpoint(&party.from);
        json.raw(r#"},"status":{"#).status(party);
        json.raw(r#"},"park":{"#);
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
        if party.queue_call {
            json.raw(r#","queueCall":true"#);
        }
        json.recordings(&party.recordings);
        if let Some(sip) = party.sip.as_ref().filter(|_| self.sip_data) {
            json.sip_data(sip);
        }
        json.raw(r#"}],"origin":{"type":""#).raw(session.origin.as_str()).raw(r#""}}}"#);
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

    fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.raw(if flag { "true" } else { "false" })
    }

    /// A string in quotes, escaped.
    fn text(&mut self, text: &str) -> &mut Self {
        serde_json::to_writer(&mut *self.0, text).expect("writing text to memory does not fail");
        self
    }

    fn uuid(&mut self, id: SubscriptionId) -> &mut Self {
        let digits = HexDigits::new(id.as_u128());
        let digits = digits.as_str();
        self.raw(&digits[..8]);
        for group in [8..12, 12..16, 16..20, 20..32] {
            self.raw("-").raw(&digits[group]);
        }
        self
    }

    fn party(&mut self, id: PartyId) -> &mut Self {
        self.raw("p-").raw(id.session.digits().as_str()).raw("-").number(id.number.into())
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
            self.raw(r#"","telephonySessionId":"s-"#).raw(peer.party.session.digits().as_str());
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

    fn sip_data(&mut self, sip: &SipData) {
        self.raw(r#","sipData":{"#);
        if let Some(to_tag) = &sip.to_tag {
            self.raw(r#""toTag":"#).text(to_tag).raw(",");
        }
        self.raw(r#""fromTag":"#).text(&sip.from_tag).raw(r#","callId":"#).text(&sip.call_id).raw("}");
    }
}

/// The number by which a ringing call could be picked up: 14 digits, the same while it rings.
fn pickup_number(party: PartyId) -> u64 {
    let hash = IdHash::new("pickup").part(&party.session.as_u128().to_be_bytes()).number(party.number.into());
    10_000_000_000_000 + hash.u64() % 90_000_000_000_000
}
