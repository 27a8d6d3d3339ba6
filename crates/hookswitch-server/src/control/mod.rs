//! Acts on calls: finds out what a party's channel is, writes down what is asked for, and has the connection of its
//! source ask the switch.
//!
//! [`plan`] says what is asked, without IO; `line` is the way to the connection, and `journal` what is written down.
//! Nothing is asked twice: what was written down and may have been sent is never sent again.

mod journal;
mod line;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hookswitch_model::{AccountId, ActionId, ExtensionId, PartyId, TelephonySessionId};
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::{Acted, Action, Then, is_word};
use hookswitch_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

pub use self::journal::{ActionRecord, Asker, Fate, Known, actions_of};
pub(crate) use self::line::{ControlLine, Order, Placement};
pub use self::plan::{
    Effect, LocatedCall, LocatedChannel, LocatedParty, NotPlanned, Operation, Phone, Planned, plan, plan_drop,
};
use crate::auth::{Problem, Throttle};
use crate::clock;
use crate::config::SwitchSource;
use crate::intake::{Intake, Question};
use crate::secret::random;

/// Time that a switch may take to answer, and then to show what was done.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Time that the machine may take to say what the channels of a call are.
const LOCATE_WITHIN: Duration = Duration::from_secs(2);

/// A source whose calls may be acted on.
pub(crate) struct ControlledSource {
    switch: Switch,
    settings: SwitchSource,
    account: AccountId,
    line: Arc<ControlLine>,
    permits: Arc<Semaphore>,
}

impl ControlledSource {
    pub(crate) fn new(switch: Switch, settings: SwitchSource, account: AccountId) -> Self {
        let permits = Arc::new(Semaphore::new(settings.control_in_flight));
        Self { switch, settings, account, line: Arc::default(), permits }
    }

    /// The way to its connection.
    pub(crate) fn line(&self) -> &Arc<ControlLine> {
        &self.line
    }
}

/// All sources whose calls may be acted on, and how that is done.
pub struct Control {
    store: Store,
    intake: SyncSender<Intake>,
    sources: RwLock<BTreeMap<String, Arc<ControlledSource>>>,
    /// Counts the actions of a user.
    actions: Throttle,
}

/// An action that a switch was asked for.
#[derive(Debug)]
pub struct Performed {
    /// Its id.
    pub id: ActionId,
    /// By what it shows that it was done.
    pub effect: Effect,
    /// Set if the switch has said that it has taken it; else the connection was lost, or it did not answer.
    pub is_taken: bool,
    /// Its place among those in flight.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Control {
    /// Nothing can be acted on yet.
    pub(crate) fn new(store: Store, intake: SyncSender<Intake>, actions_per_minute: u32) -> Self {
        Self { store, intake, sources: RwLock::default(), actions: Throttle::new(actions_per_minute) }
    }

    /// The sources, from here on.
    pub(crate) fn set_sources(&self, sources: BTreeMap<String, Arc<ControlledSource>>) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// Returns `true` if any call of an account may be acted on.
    pub fn is_on(&self) -> bool {
        !self.sources.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Acts on a party of a session, or on the whole session.
    ///
    /// # Errors
    /// 404, 403, 409, 429 and 503, as the contract has them; then the switch was asked for nothing, or has refused it.
    pub async fn act(
        &self,
        who: &Asker,
        key: Option<&str>,
        session: TelephonySessionId,
        party: Option<PartyId>,
        operation: &Operation,
    ) -> Result<Performed, Problem> {
        self.count(who)?;
        if let Some(known) = self.known(who, key, operation, session).await? {
            return Ok(known);
        }
        let call = self
            .locate(session)
            .await?
            .ok_or_else(|| Problem::unknown("telephonySessionId", &session.to_string()))?;
        let other = match operation {
            Operation::Bridge(with) if with.session != session => {
                let other = self.locate(with.session).await?;
                Some(other.ok_or_else(|| Problem::unknown("telephonySessionId", &with.session.to_string()))?)
            }
            Operation::Bridge(_) => Some(call.clone()),
            _ => None,
        };
        let planned = match party {
            Some(party) => plan(&call, party, operation, other.as_ref()),
            None => plan_drop(&call, session),
        };
        let planned = planned.map_err(|error| match error {
            NotPlanned::NoParty => {
                Problem::unknown("partyId", &party.map(|id| id.to_string()).unwrap_or_default())
            }
            NotPlanned::WrongState => Problem::incorrect_state(),
            NotPlanned::Cannot(reason) => Problem::cannot(reason),
        })?;
        let about = journal::About { session: Some(session), party, operation: Some(operation.clone()) };
        self.ask(ActionId::from_bits(bits()?), who, key, about, planned).await
    }

    /// Calls a phone, and then a number.
    ///
    /// # Errors
    /// As [`Control::act`].
    pub async fn call_out(
        &self,
        who: &Asker,
        key: Option<&str>,
        device: &str,
        number: &str,
    ) -> Result<Performed, Problem> {
        self.count(who)?;
        if !is_word(number) || !is_word(device) {
            return Err(Problem::field("to", "this is no number that a phone system can dial"));
        }
        if let Some(key) = key
            && let Some(record) =
                journal::find(&self.store, who, key).await.map_err(|error| unreadable(&error))?
        {
            let is_same =
                matches!(&record.action, Action::Call { then: Then::Dial(known), .. } if known == number);
            if !is_same || record.operation.is_some() {
                return Err(Problem::conflict("Another action was asked for with this Idempotency-Key"));
            }
            let is_taken = record.fate == Fate::Taken;
            return Ok(Performed { id: record.id, effect: record.effect, is_taken, _permit: None });
        }
        let then = Then::Dial(number.to_owned());
        let action = Action::Call { device: device.to_owned(), shows: number.to_owned(), then };
        let (source, can) = {
            let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
            let own = sources.iter().find(|(_, source)| source.account == who.account);
            let (name, source) = own.ok_or_else(Problem::feature_off)?;
            (
                Arc::<str>::from(&**name),
                source.switch.adapter().check_action(&source.settings.settings(), &action),
            )
        };
        can.map_err(|error| Problem::cannot(error.to_string()))?;
        let id = ActionId::from_bits(bits()?);
        let effect = Effect::Placed { source: source.to_string(), channel: id.to_string() };
        let about = journal::About { session: None, party: None, operation: None };
        self.ask(id, who, key, about, Planned { source, action, effect }).await
    }

    /// The session of a channel, once the machine knows of it.
    pub async fn session_of(&self, source: &str, channel: &str) -> Option<TelephonySessionId> {
        let (answer, answered) = oneshot::channel();
        let question = Question::Channel { source: source.to_owned(), channel: channel.to_owned(), answer };
        self.intake.try_send(Intake::Asked(question)).ok()?;
        timeout(LOCATE_WITHIN, answered).await.ok()?.ok()?
    }

    fn count(&self, who: &Asker) -> Result<(), Problem> {
        let whose = [&*who.account.to_string(), &*who.extension.to_string()];
        match self.actions.take(&whose, clock::now()).wait {
            Some(wait) => Err(Problem::too_many(u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX))),
            None => Ok(()),
        }
    }

    /// Returns what was asked under a key before.
    async fn known(
        &self,
        who: &Asker,
        key: Option<&str>,
        operation: &Operation,
        session: TelephonySessionId,
    ) -> Result<Option<Performed>, Problem> {
        let Some(key) = key else { return Ok(None) };
        match journal::find(&self.store, who, key).await.map_err(|error| unreadable(&error))? {
            None => Ok(None),
            Some(record) if record.is_for(session, operation) => {
                tracing::info!(action = %record.id, "an action was asked for again under its key; it is not repeated");
                Ok(Some(Performed {
                    id: record.id,
                    effect: record.effect,
                    is_taken: record.fate == Fate::Taken,
                    _permit: None,
                }))
            }
            Some(_) => Err(Problem::conflict("Another action was asked for with this Idempotency-Key")),
        }
    }

    async fn locate(&self, session: TelephonySessionId) -> Result<Option<LocatedCall>, Problem> {
        let (answer, answered) = oneshot::channel();
        let busy = || Problem::unavailable("The server is too busy to find the call; ask again");
        match self.intake.try_send(Intake::Asked(Question::Call { session, answer })) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(busy()),
        }
        let located = timeout(LOCATE_WITHIN, answered).await.map_err(|_| busy())?;
        located.map_err(|_| {
            Problem::unavailable("Another node of the cluster has the connection to the phone system")
        })
    }

    /// Writes an action down and has the switch asked for it.
    async fn ask(
        &self,
        id: ActionId,
        who: &Asker,
        key: Option<&str>,
        about: journal::About,
        planned: Planned,
    ) -> Result<Performed, Problem> {
        let Planned { source: name, action, effect } = planned;
        let source = {
            let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
            sources.get(&*name).cloned().ok_or_else(Problem::feature_off)?
        };
        if let Err(error) = source.switch.adapter().check_action(&source.settings.settings(), &action) {
            return Err(Problem::cannot(error.to_string()));
        }
        let away = || {
            Problem::unavailable("There is no connection to the phone system at the moment; nothing was done")
        };
        if !source.line.is_up() {
            return Err(away());
        }
        let permit = source.permits.clone().try_acquire_owned().map_err(|_| Problem::too_many(1))?;
        let record = ActionRecord {
            id,
            by: who.clone(),
            at: clock::wall(),
            session: about.session,
            party: about.party,
            operation: about.operation,
            source: name.to_string(),
            action: action.clone(),
            effect: effect.clone(),
            fate: Fate::Sent,
            said: None,
        };
        match journal::write(&self.store, &record, key).await {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => {
                return Err(Problem::conflict("An action with this Idempotency-Key is under way"));
            }
            Err(error) => return Err(unreadable(&error)),
        }
        let was_sent = Arc::new(AtomicBool::new(false));
        let (answer, answered) = oneshot::channel();
        let order = Order { id, action, was_sent: was_sent.clone(), answer };
        let operation = record.operation.as_ref().map_or("call out", Operation::name);
        tracing::info!(
            action = %id, operation, source = &*name, session.id = ?record.session, account = %who.account,
            extension = %who.extension, client = &*who.client, "a phone system is asked to act on a call"
        );
        let answered =
            if source.line.send(order) { timeout(ANSWER_WITHIN, answered).await.ok() } else { None };
        let (fate, said, outcome) = match answered {
            Some(Ok(Ok(Acted::Taken))) => (Fate::Taken, None, Ok(true)),
            Some(Ok(Ok(Acted::Gone))) => (Fate::Refused, None, Err(Problem::incorrect_state())),
            Some(Ok(Ok(Acted::Refused(text)))) => {
                let problem = Problem::cannot(format!("The phone system refuses this: {text}"));
                (Fate::Refused, Some(text), Err(problem))
            }
            Some(Ok(Err(error))) => (Fate::NotSent, None, Err(Problem::cannot(error.to_string()))),
            // It may have been carried out, and the events will tell.
            _ if was_sent.load(Ordering::Acquire) => (Fate::Unknown, None, Ok(false)),
            _ => (Fate::NotSent, None, Err(away())),
        };
        if fate != Fate::Taken {
            tracing::warn!(action = %id, operation, ?fate, said, "an action on a call was not simply taken");
        }
        let store = self.store.clone();
        let record = ActionRecord { fate, said, ..record };
        tokio::spawn(async move {
            if let Err(error) = journal::update(&store, &record).await {
                tracing::error!(action = %record.id, "the outcome of an action could not be stored: {error:#}");
            }
        });
        outcome.map(|is_taken| Performed { id, effect, is_taken, _permit: Some(permit) })
    }

    /// Finds the actions whose fate was not written down before the server ended: they are not sent again.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn unfinished(&self) -> Result<Vec<ActionRecord>, StoreError> {
        journal::unfinished(&self.store).await
    }

    /// Writes down what became of an action that was found unfinished.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn settle(&self, record: ActionRecord, is_shown: bool) -> Result<(), StoreError> {
        let fate = if is_shown { Fate::Taken } else { Fate::Unknown };
        tracing::warn!(action = %record.id, ?fate, "an action was under way when the server ended; it is not repeated");
        journal::update(&self.store, &ActionRecord { fate, ..record }).await
    }

    /// Forgets actions that are older than they are kept.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn forget_old(&self) -> Result<(), StoreError> {
        journal::forget_old(&self.store, clock::wall()).await
    }
}

fn bits() -> Result<u128, Problem> {
    random::<16>().map(u128::from_be_bytes).map_err(|error| {
        tracing::error!("{error:#}");
        Problem::internal()
    })
}

fn unreadable(error: &StoreError) -> Problem {
    tracing::error!("an action on a call cannot be written down: {error:#}");
    Problem::unavailable("What is asked for cannot be written down at the moment; nothing was done")
}

/// Returns who asks: the user of an application.
pub fn asker(account: AccountId, extension: ExtensionId, client: &str) -> Asker {
    Asker { account, extension, client: client.to_owned() }
}
