//! Acts on telephony sessions: reads what a request wants, has the phone system asked for it, and answers when an
//! event has shown that it was done (contract call-control §3, §4).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::StatusCode as HttpStatus;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hookswitch_core::directory::{Account, Directory, Extension};
use hookswitch_model::{AccountId, ExtensionId, Party, PartyId, StatusCode, TelephonySessionId};
use hookswitch_server::auth::Principal;
use hookswitch_server::clock;
use hookswitch_server::control::{ANSWER_WITHIN, Asker, Effect, Operation, Performed, Phone, asker};
use hookswitch_server::rights::Action;
use hookswitch_signal::switch::{Target, is_word};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::calls::{Call, Calls};
use super::party::{PartyBody, Session};
use super::session::{find, party_id, session_id};
use crate::{Api, Problem};

/// Interval between questions which call a channel is of.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Time for which the slot of a call may be told after it was parked.
const SLOT_WITHIN: Duration = Duration::from_secs(1);

/// The longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// Operations that can be asked of a party.
const OPERATIONS: [&str; 14] = [
    "answer",
    "bridge",
    "flip",
    "forward",
    "hold",
    "ignore",
    "park",
    "pickup",
    "recordings",
    "reject",
    "reply",
    "supervise",
    "transfer",
    "unhold",
];

/// The value of `Idempotency-Key`: what is asked for again under it is not done again.
pub(crate) struct Key(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
        let wrong = || Problem::invalid("Idempotency-Key is to be 1 to 256 visible characters");
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(wrong)
    }
}

/// Who asks, and where a request leads.
pub(super) struct Wanted<'a> {
    pub(super) api: &'a Api,
    pub(super) principal: &'a Principal,
    pub(super) account: &'a str,
    pub(super) session: &'a str,
    pub(super) key: Key,
}

/// A body, which may be empty, whatever its type says.
fn body<T: DeserializeOwned + Default>(bytes: &Bytes) -> Result<T, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::invalid(format!("The body cannot be used: {error}")),
        _ => Problem::no_json(format!("The body is not JSON: {error}")),
    })
}

/// Where a call is to go (contract call-control §4).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TargetBody {
    phone_number: Option<String>,
    voicemail: Option<Id>,
    extension_number: Option<Id>,
    extension_id: Option<Id>,
    park_orbit: Option<Id>,
}

/// An id or a number, which clients write with quotes or without.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeviceBody {
    device_id: Option<Id>,
    supervisor_device_id: Option<Id>,
    call_flip_id: Option<Id>,
    mode: Option<String>,
    extension_number: Option<Id>,
    agent_extension_number: Option<Id>,
    agent_extension_id: Option<Id>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct OtherBody {
    telephony_session_id: Option<String>,
    session_id: Option<String>,
    party_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateBody {
    muted: Option<bool>,
    stand_alone: Option<bool>,
    party: Option<Box<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActiveBody {
    active: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallOutBody {
    from: CallOutFrom,
    to: TargetBody,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CallOutFrom {
    device_id: Option<Id>,
    extension_id: Option<Id>,
}

/// The extensions of an account, as far as somebody may be reached by them.
struct People {
    directory: Arc<Directory>,
    account: AccountId,
}

impl People {
    fn account(&self) -> Option<&Account> {
        self.directory.accounts().find(|known| known.id() == self.account)
    }

    fn find(&self, is_meant: impl Fn(&Extension) -> bool) -> Option<&Extension> {
        self.account()?.extensions().iter().find(|listed| is_meant(listed))
    }

    /// The number of an extension, by its id.
    fn number_of(&self, id: &str, field: &'static str) -> Result<String, Problem> {
        let listed = self.find(|listed| listed.id.to_string() == id);
        let number = listed.and_then(|listed| listed.number.as_deref().map(str::to_owned));
        number.ok_or_else(|| Problem::field(field, "The directory has no such extension").about(field, id))
    }

    /// Returns where a body wants a call to go.
    fn target(&self, body: TargetBody) -> Result<Target, Problem> {
        let TargetBody { phone_number, voicemail, extension_number, extension_id, park_orbit } = body;
        let given = [
            phone_number.is_some(),
            voicemail.is_some(),
            extension_number.is_some(),
            extension_id.is_some(),
            park_orbit.is_some(),
        ];
        if given.iter().filter(|&&given| given).count() != 1 {
            let message =
                "Exactly one of phoneNumber, extensionNumber, extensionId, voicemail and parkOrbit is needed";
            return Err(Problem::field("phoneNumber", message));
        }
        let target = match (phone_number, voicemail, extension_number.or(park_orbit), extension_id) {
            (Some(number), ..) => Target::Number(self.dialled(&number)),
            (_, Some(mailbox), ..) => Target::Mailbox(self.number_of(&mailbox.text(), "voicemail")?),
            (_, _, Some(number), _) => Target::Number(number.text()),
            (.., Some(id)) => Target::Number(self.number_of(&id.text(), "extensionId")?),
            (None, None, None, None) => return Err(Problem::field("phoneNumber", "a number is needed")),
        };
        if is_word(target.word()) {
            Ok(target)
        } else {
            Err(Problem::field("phoneNumber", "This is no number that a phone system can dial"))
        }
    }

    /// A number as it is dialled inside: a direct number of an extension by its short one, `+main*extension` by the
    /// extension, and any other as it is.
    fn dialled(&self, number: &str) -> String {
        let plain: String = number.chars().filter(|letter| !" ()-./".contains(*letter)).collect();
        if let Some((_, extension)) = plain.strip_prefix('+').and_then(|rest| rest.split_once('*')) {
            return extension.to_owned();
        }
        let own = self.find(|listed| listed.numbers.iter().any(|number| **number == *plain));
        own.and_then(|own| own.number.as_deref().map(str::to_owned)).unwrap_or(plain)
    }

    /// The phone of an extension: of the one that is asked for by its device, else of the one who asks.
    fn phone(
        &self,
        principal: &Principal,
        device: Option<Id>,
        field: &'static str,
    ) -> Result<Phone, Problem> {
        let own = self.find(|listed| listed.id == principal.extension);
        let number = || principal.extension_number.to_string();
        let Some(id) = device.map(Id::text) else {
            return Err(Problem::field(field, "A device is needed"));
        };
        let listed = self.find(|listed| listed.device.to_string() == id);
        let user = match (listed, own) {
            (Some(listed), _) => {
                if listed.id != principal.extension && !principal.admin {
                    return Err(Problem::other_extension());
                }
                listed.phone.as_deref().or(listed.number.as_deref()).map(str::to_owned)
            }
            // A server without a list has the devices of its users.
            (None, None) => {
                let account = Account::built_in(self.account);
                (account.device(principal.extension).to_string() == id).then(number)
            }
            (None, Some(_)) => None,
        };
        let unknown = || Problem::field(field, "The directory has no such device").about(field, &id);
        user.map(|user| Phone { user }).ok_or_else(unknown)
    }
}

impl Wanted<'_> {
    fn people(&self, account: AccountId) -> People {
        People { directory: self.api.directory(), account }
    }

    fn asker(&self) -> Asker {
        asker(self.principal.account, self.principal.extension, &self.principal.client_id)
    }

    /// Checks that the one who asks may act on calls at all, and that any call may be acted on.
    fn may(&self) -> Result<AccountId, Problem> {
        let account = self.api.account(self.principal, Action::ControlCalls, self.account)?;
        if self.api.control.is_on() { Ok(account) } else { Err(Problem::feature_off()) }
    }

    /// The party that a path names, if the one who asks may act on it.
    fn party(&self, party: &str) -> Result<(Call, Party), Problem> {
        let account = self.may()?;
        let call = find(self.api, self.principal, self.account, self.session)?;
        let found = party_id(party).and_then(|id| call.party(id)).cloned();
        let found = found.ok_or_else(|| Problem::unknown("partyId", party))?;
        self.api.check(self.principal, Action::ControlCalls, account, found.extension)?;
        Ok((call, found))
    }

    async fn act(
        &self,
        session: TelephonySessionId,
        party: Option<PartyId>,
        what: &Operation,
    ) -> Result<Performed, Problem> {
        let key = self.key.0.as_deref();
        self.api.control.act(&self.asker(), key, session, party, what).await
    }

    /// Acts on a party, and gives the call when an event has shown that it was done.
    async fn done(&self, party: &Party, what: &Operation) -> Result<Call, Problem> {
        let session = party.id.session;
        let performed = self.act(session, Some(party.id), what).await?;
        wait(self.api, &performed.effect).await
    }

    /// Ends a session.
    pub(super) async fn drop_session(&self) -> Result<HttpStatus, Problem> {
        let account = self.may()?;
        let call = find(self.api, self.principal, self.account, self.session)?;
        let own = call.has(self.principal.extension).then_some(self.principal.extension);
        self.api.check(self.principal, Action::ControlCalls, account, own)?;
        let performed = self.act(call.facts.id, None, &Operation::Drop).await?;
        wait(self.api, &performed.effect).await?;
        Ok(HttpStatus::NO_CONTENT)
    }

    /// Takes a party out of its call.
    pub(super) async fn delete_party(&self, party: &str) -> Result<HttpStatus, Problem> {
        let (_, party) = self.party(party)?;
        self.done(&party, &Operation::Delete).await?;
        Ok(HttpStatus::NO_CONTENT)
    }

    /// Mutes a party, or not any more.
    pub(super) async fn update_party(&self, party: &str, bytes: &Bytes) -> Result<Response, Problem> {
        let (_, party) = self.party(party)?;
        let update: UpdateBody = body(bytes)?;
        let UpdateBody { muted, stand_alone, .. } = update.party.map_or_else(
            || UpdateBody { muted: update.muted, stand_alone: update.stand_alone, party: None },
            |inner| *inner,
        );
        if stand_alone.is_some_and(|wanted| wanted != party.stand_alone) {
            return Err(Problem::cannot(
                "The phone system cannot leave a party without a peer; conferences are rooms of it",
            ));
        }
        let muted = muted.ok_or_else(|| Problem::field("muted", "muted is needed, true or false"))?;
        if muted == party.muted {
            return Ok(Json(PartyBody::of(&party)).into_response());
        }
        let call = self.done(&party, &Operation::Mute(muted)).await?;
        answer(HttpStatus::OK, &call, party.id)
    }

    /// Carries out an operation that a path names.
    pub(super) async fn operate(&self, party: &str, name: &str, bytes: &Bytes) -> Result<Response, Problem> {
        if !OPERATIONS.contains(&name) {
            return Err(Problem::not_found());
        }
        let (before, party) = self.party(party)?;
        let people = self.people(party.account);
        let what = self.operation(&people, &party, name, bytes)?;
        let call = self.done(&party, &what).await?;
        match what {
            Operation::Reject | Operation::Ignore => Ok(HttpStatus::NO_CONTENT.into_response()),
            Operation::Park => {
                // Where it is parked may be told after that it is.
                let slot = |calls: &Calls| {
                    let call = calls.get(party.id.session)?;
                    Ok(call.filter(|call| call.party(party.id).is_some_and(|party| party.park.is_some())))
                };
                let call = timeout(SLOT_WITHIN, follow(self.api, slot)).await.unwrap_or(Ok(call))?;
                answer(HttpStatus::CREATED, &call, party.id)
            }
            Operation::Record => {
                let now = call.party(party.id).ok_or_else(Problem::not_shown)?;
                let new = now.recordings.iter().find(|recording| recording.active);
                let new = new.ok_or_else(Problem::not_shown)?;
                let body = json!({"id": new.id.to_string(), "active": true});
                Ok((HttpStatus::CREATED, Json(body)).into_response())
            }
            Operation::PickUp(_) => {
                let taker = |calls: &Calls| taker(calls, party.id, &before);
                let (call, new) = follow(self.api, taker).await?;
                answer(HttpStatus::CREATED, &call, new)
            }
            Operation::Supervise(_) => {
                let joined = |id: PartyId| before.party(id).is_none();
                let new = call.parties.iter().map(|(_, party)| party.id).rfind(|&id| joined(id));
                answer(HttpStatus::CREATED, &call, new.unwrap_or(party.id))
            }
            _ => answer(HttpStatus::OK, &call, party.id),
        }
    }

    fn operation(
        &self,
        people: &People,
        party: &Party,
        name: &str,
        bytes: &Bytes,
    ) -> Result<Operation, Problem> {
        Ok(match name {
            "hold" => Operation::Hold,
            "unhold" => Operation::Unhold,
            "reject" => Operation::Reject,
            "park" => Operation::Park,
            "recordings" => Operation::Record,
            "ignore" => {
                let device: DeviceBody = body(bytes)?;
                device.device_id.ok_or_else(|| Problem::field("deviceId", "A device is needed"))?;
                Operation::Ignore
            }
            "answer" => {
                let device: DeviceBody = body(bytes)?;
                device.device_id.ok_or_else(|| Problem::field("deviceId", "A device is needed"))?;
                Operation::Answer
            }
            "forward" => Operation::Forward(people.target(body(bytes)?)?),
            "transfer" => Operation::Transfer(people.target(body(bytes)?)?),
            "bridge" => {
                let other: OtherBody = body(bytes)?;
                Operation::Bridge(self.other(other)?)
            }
            "flip" => {
                let device: DeviceBody = body(bytes)?;
                let id = device.call_flip_id.or(device.device_id);
                Operation::Flip(people.phone(self.principal, id, "callFlipId")?)
            }
            "pickup" => {
                let device: DeviceBody = body(bytes)?;
                Operation::PickUp(people.phone(self.principal, device.device_id, "deviceId")?)
            }
            "supervise" => {
                let device: DeviceBody = body(bytes)?;
                self.supervision(people, party.extension, device)?
            }
            "reply" => {
                return Err(Problem::cannot(
                    "Neither Asterisk nor FreeSWITCH can show or say a text to a caller whose call still rings; reject \
                     the call, or forward it to a mailbox",
                ));
            }
            _ => return Err(Problem::not_found()),
        })
    }

    fn supervision(
        &self,
        people: &People,
        agent: Option<ExtensionId>,
        device: DeviceBody,
    ) -> Result<Operation, Problem> {
        if device.mode.as_deref().is_some_and(|mode| mode != "Listen") {
            return Err(Problem::field("mode", "mode must be Listen"));
        }
        // Who listens is somebody else than who is listened to, and needs the role for that.
        self.api.check(self.principal, Action::ControlCalls, people.account, None)?;
        if agent.is_none() {
            return Err(Problem::cannot("Only an extension of the account can be supervised"));
        }
        let id = device.supervisor_device_id.or(device.device_id);
        Ok(Operation::Supervise(people.phone(self.principal, id, "supervisorDeviceId")?))
    }

    /// The own party of another call, if the one who asks may act on it.
    fn other(&self, body: OtherBody) -> Result<PartyId, Problem> {
        let session = body.telephony_session_id.or(body.session_id);
        let session = session.ok_or_else(|| Problem::field("telephonySessionId", "A session is needed"))?;
        let party = body.party_id.ok_or_else(|| Problem::field("partyId", "A party is needed"))?;
        session_id(&session).ok_or_else(|| Problem::unknown("telephonySessionId", &session))?;
        let call = find(self.api, self.principal, self.account, &session)?;
        let found = party_id(&party).and_then(|id| call.party(id));
        let found = found.ok_or_else(|| Problem::unknown("partyId", &party))?;
        self.api.check(self.principal, Action::ControlCalls, found.account, found.extension)?;
        Ok(found.id)
    }

    /// Supervises the party of an agent in a session.
    pub(super) async fn supervise(&self, bytes: &Bytes) -> Result<Response, Problem> {
        let account = self.may()?;
        let call = find(self.api, self.principal, self.account, self.session)?;
        let device: DeviceBody = body(bytes)?;
        let people = self.people(account);
        let number = device.agent_extension_number.as_ref().or(device.extension_number.as_ref());
        let number = number.map(|id| match id {
            Id::Text(text) => text.clone(),
            Id::Number(number) => number.to_string(),
        });
        let id = device.agent_extension_id.as_ref().map(|id| match id {
            Id::Text(text) => text.clone(),
            Id::Number(number) => number.to_string(),
        });
        let is_agent = |party: &&Party| {
            let listed = people.find(|listed| Some(listed.id) == party.extension);
            let own = listed.and_then(|listed| listed.number.as_deref());
            party.extension.is_some()
                && (id.is_some() && party.extension.map(|own| own.to_string()) == id
                    || number.is_some() && own == number.as_deref())
        };
        let agents = call.parties.iter().map(|(_, party)| party);
        let mut agents = agents.filter(|party| !party.status.code.is_terminal());
        let agent = agents.find(is_agent).cloned();
        let agent =
            agent.ok_or_else(|| Problem::field("agentExtensionNumber", "The agent is not in this call"))?;
        let what = self.supervision(&people, agent.extension, device)?;
        let now = self.done(&agent, &what).await?;
        let new = now.parties.iter().map(|(_, party)| party.id).rfind(|&id| call.party(id).is_none());
        answer(HttpStatus::CREATED, &now, new.unwrap_or(agent.id))
    }

    /// Takes the far end of a party into the conference room.
    pub(super) async fn bring_in(&self, bytes: &Bytes) -> Result<Response, Problem> {
        self.may()?;
        let conference = find(self.api, self.principal, self.account, self.session)?;
        let known = conference.parties.len();
        if conference.facts.origin != hookswitch_model::Origin::Conference {
            return Err(Problem::incorrect_state());
        }
        let id = self.other(body(bytes)?)?;
        let performed = self.act(id.session, Some(id), &Operation::BringIn).await?;
        wait(self.api, &performed.effect).await?;
        let session = conference.facts.id;
        let joined = |calls: &Calls| Ok(calls.get(session)?.filter(|call| call.parties.len() > known));
        let call = follow(self.api, joined).await?;
        let new = call.parties.last().map(|(_, party)| party.id).ok_or_else(Problem::not_shown)?;
        answer(HttpStatus::CREATED, &call, new)
    }

    /// Pauses a recording, or goes on with it.
    pub(super) async fn update_recording(
        &self,
        party: &str,
        recording: &str,
        bytes: &Bytes,
    ) -> Result<Response, Problem> {
        let (_, party) = self.party(party)?;
        let update: ActiveBody = body(bytes)?;
        let active =
            update.active.ok_or_else(|| Problem::field("active", "active is needed, true or false"))?;
        let known = party.recordings.iter().find(|known| known.id.to_string() == recording);
        let known = *known.ok_or_else(|| Problem::unknown("recordingId", recording))?;
        if known.active != active {
            let what = Operation::PauseRecording { id: known.id, active };
            self.done(&party, &what).await?;
        }
        Ok(Json(json!({"id": recording, "active": active})).into_response())
    }

    /// Calls the phone of a device, and then a number.
    pub(super) async fn call_out(&self, bytes: &Bytes) -> Result<Response, Problem> {
        let account = self.may()?;
        let CallOutBody { from, to } = body(bytes)?;
        let people = self.people(account);
        let phone = if from.device_id.is_none()
            && let Some(id) = from.extension_id
        {
            let id = id.text();
            let listed = people.find(|listed| listed.id.to_string() == id);
            let device = listed.map(|listed| listed.device);
            let device = device.or_else(|| {
                let own = id == self.principal.extension.to_string();
                own.then(|| Account::built_in(account).device(self.principal.extension))
            });
            people.phone(
                self.principal,
                device.map(|device| Id::Text(device.to_string())),
                "from.extensionId",
            )?
        } else {
            people.phone(self.principal, from.device_id, "from.deviceId")?
        };
        let Target::Number(number) = people.target(to)? else {
            return Err(Problem::field("to", "to must be a phoneNumber or an extensionNumber"));
        };
        let key = self.key.0.as_deref();
        let performed = self.api.control.call_out(&self.asker(), key, &phone.user, &number).await?;
        let call = wait(self.api, &performed.effect).await?;
        Ok((HttpStatus::CREATED, Json(json!({"session": Session::of(&call)}))).into_response())
    }
}

/// The party that has taken the call of another, which names it or has it in its own call, and the call of that party.
fn taker(calls: &Calls, from: PartyId, before: &Call) -> Result<Option<(Call, PartyId)>, Problem> {
    let Some(call) = calls.get(from.session)? else { return Ok(None) };
    let named = call.party(from).and_then(|party| party.status.peer.as_ref().map(|peer| peer.party));
    if let Some(named) = named {
        let other = calls.get(named.session)?;
        return Ok(other.filter(|other| other.party(named).is_some()).map(|other| (other, named)));
    }
    let is_new = |id: &PartyId| before.party(*id).is_none();
    let new = call.parties.iter().map(|(_, party)| party.id).rfind(is_new);
    Ok(new.map(|new| (call, new)))
}

/// A party as it stands.
fn answer(status: HttpStatus, call: &Call, id: PartyId) -> Result<Response, Problem> {
    let party = call.party(id).ok_or_else(Problem::not_shown)?;
    Ok((status, Json(PartyBody::of(party))).into_response())
}

/// Returns whether the events show an effect; if they do, the call.
fn shown(calls: &Calls, effect: &Effect) -> Result<Option<Call>, Problem> {
    let session = match effect {
        Effect::Over(session) | Effect::Joined { session, .. } => *session,
        Effect::Left(party)
        | Effect::Stands(party, _)
        | Effect::Muted(party, _)
        | Effect::Recording { party, .. } => party.session,
        Effect::Placed { .. } => return Ok(None),
    };
    let Some(call) = calls.get(session)? else { return Ok(None) };
    let party = |id: &PartyId| call.party(*id);
    let is_shown = match effect {
        Effect::Over(_) => call.is_over(),
        Effect::Left(id) => party(id).is_some_and(|party| {
            party.status.code.is_terminal() || party.status.code == StatusCode::VoiceMail
        }),
        Effect::Stands(id, code) => party(id).is_some_and(|party| party.status.code == *code),
        Effect::Muted(id, muted) => party(id).is_some_and(|party| party.muted == *muted),
        Effect::Recording { party: whose, active, id } => party(whose).is_some_and(|party| {
            let is_meant = |known: hookswitch_model::RecordingId| id.is_none_or(|id| id == known);
            party.recordings.iter().any(|known| known.active == *active && is_meant(known.id))
        }),
        Effect::Joined { after, .. } => call.parties.iter().any(|(_, party)| party.id.number > *after),
        Effect::Placed { .. } => false,
    };
    Ok(is_shown.then_some(call))
}

/// Waits until the events show an effect.
async fn wait(api: &Api, effect: &Effect) -> Result<Call, Problem> {
    if let Effect::Placed { source, channel } = effect {
        let until = clock::now() + ANSWER_WITHIN;
        loop {
            if let Some(session) = api.control.session_of(source, channel).await
                && let Some(call) = api.calls.get(session)?
            {
                return Ok(call);
            }
            if clock::now() >= until {
                return Err(Problem::not_shown());
            }
            sleep(ASK_EVERY).await;
        }
    }
    follow(api, |calls| shown(calls, effect)).await
}

/// Waits until the calls are as somebody looks for.
async fn follow<T>(api: &Api, look: impl Fn(&Calls) -> Result<Option<T>, Problem>) -> Result<T, Problem> {
    let mut position = api.calls.position();
    let following = async {
        loop {
            position.mark_unchanged();
            if let Some(found) = look(&api.calls)? {
                return Ok(found);
            }
            if position.changed().await.is_err() {
                return Err(Problem::not_shown());
            }
        }
    };
    timeout(ANSWER_WITHIN, following).await.unwrap_or_else(|_| Err(Problem::not_shown()))
}

/// How long after a start the switches are given to tell what goes on, before an action whose fate is not known is
/// taken not to have been carried out.
const SETTLE_AFTER: Duration = Duration::from_secs(15);

/// Interval at which old actions are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Finds out what became of the actions that were under way when the server ended, without repeating any; then forgets
/// old ones from time to time.
pub(crate) async fn keep(api: Api, mut stop: tokio::sync::watch::Receiver<bool>) {
    let settling = async {
        let unfinished = match api.control.unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) => {
                tracing::error!("the actions in progress cannot be read: {error:#}");
                Vec::new()
            }
        };
        if !unfinished.is_empty() {
            sleep(SETTLE_AFTER).await;
        }
        for record in unfinished {
            let is_shown = match &record.effect {
                Effect::Placed { source, channel } => api.control.session_of(source, channel).await.is_some(),
                effect => matches!(shown(&api.calls, effect), Ok(Some(_))),
            };
            if let Err(error) = api.control.settle(record, is_shown).await {
                tracing::error!("the outcome of an action could not be stored: {error:#}");
            }
        }
        loop {
            if let Err(error) = api.control.forget_old().await {
                tracing::error!("old actions could not be deleted: {error:#}");
            }
            sleep(FORGET_EVERY).await;
        }
    };
    tokio::select! {
        () = settling => {}
        _ = stop.wait_for(|&stop| stop) => {}
    }
}
