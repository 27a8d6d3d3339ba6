//! Divides what comes in among the lanes of the partitions.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookswitch_model::AccountId;
use hookswitch_signal::ingest::Posted;
use hookswitch_store::{Partition, Sender, Settings, Store};
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lane::Lane;
use crate::clock;
use crate::intake::{Accepted, ForwardedInput, Frames, Intake, PostedBatch, Question};

/// Time that the owner of a partition may take to have what was handed over in the log: a lease that is not
/// renewed has run out by then, and another owner has begun.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Interval between checks whether the owner knew it already.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The thread that takes what listeners and connections bring.
pub(crate) struct Router {
    store: Store,
    runtime: Handle,
    lanes: Arc<[Arc<Lane>]>,
    /// Those that hold now, for machines that begin later.
    settings: Arc<Mutex<Settings>>,
}

impl Router {
    /// A router to these lanes, one for each partition.
    pub(crate) fn new(
        store: Store,
        runtime: Handle,
        lanes: Arc<[Arc<Lane>]>,
        settings: Arc<Mutex<Settings>>,
    ) -> Self {
        Self { store, runtime, lanes, settings }
    }

    /// Divides until told to stop.
    pub(crate) fn run(self, intake: &Receiver<Intake>) {
        while let Ok(input) = intake.recv() {
            match input {
                Intake::Frames(frames, back) => {
                    self.divide(&frames);
                    back.send(frames).ok(); // the listener may have ended
                }
                Intake::Posted(batch) => self.post(batch),
                Intake::Switch(batch) => {
                    let account = batch.sender.account();
                    self.lane(account).push(ForwardedInput::Switch(batch));
                }
                // The machine that has the call answers, if it is on this node.
                Intake::Asked(question) => self.ask(question),
                Intake::Settings(settings) => {
                    for machine in self.lanes.iter().filter_map(|lane| lane.local()) {
                        machine.send(Intake::Settings(settings.clone())).ok(); // it has ended
                    }
                    *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = *settings;
                }
                Intake::Stop => return,
                Intake::ForwardedInput(..) | Intake::Forwarded { .. } => {
                    tracing::error!("what was divided already came in again; it is dropped");
                }
            }
        }
    }

    /// Asks all machines of this node in turn; each has other calls. Who asks hears of none of another node.
    fn ask(&self, question: Question) {
        let machines: Vec<_> = self.lanes.iter().filter_map(|lane| lane.local()).collect();
        self.runtime.spawn(async move {
            match question {
                Question::Call { session, answer } => {
                    for machine in machines {
                        let (asks, asked) = oneshot::channel();
                        let question = Question::Call { session, answer: asks };
                        if machine.try_send(Intake::Asked(question)).is_ok()
                            && let Ok(Some(call)) = asked.await
                        {
                            answer.send(Some(call)).ok(); // who has asked may have gone
                            return;
                        }
                    }
                }
                Question::Channel { source, channel, answer } => {
                    for machine in machines {
                        let (asks, asked) = oneshot::channel();
                        let question = Question::Channel {
                            source: source.clone(),
                            channel: channel.clone(),
                            answer: asks,
                        };
                        if machine.try_send(Intake::Asked(question)).is_ok()
                            && let Ok(Some(session)) = asked.await
                        {
                            answer.send(Some(session)).ok(); // likewise
                            return;
                        }
                    }
                }
            }
        });
    }

    fn partition(&self, account: u64) -> Partition {
        Partition::of(AccountId::new(account), u8::try_from(self.lanes.len()).unwrap_or(u8::MAX))
    }

    fn lane(&self, account: u64) -> &Lane {
        &self.lanes[self.partition(account).index()]
    }

    fn divide(&self, frames: &Frames) {
        let mut divided: Vec<Option<Frames>> = self.lanes.iter().map(|_| None).collect();
        for (item, correlation, payload) in frames.iter() {
            let Some((_, account)) = frames.access.source(item.source) else { continue };
            let of = divided[self.partition(account.as_u64()).index()]
                .get_or_insert_with(|| Frames::new(frames.access.clone(), frames.arrival));
            of.push(*item, correlation, payload);
        }
        for (lane, frames) in self.lanes.iter().zip(divided) {
            if let Some(frames) = frames {
                lane.push(ForwardedInput::Frames(frames));
            }
        }
    }

    /// Hands posted signals to the machine on this node, or over to the owner; their sender hears of it when
    /// they are in the log.
    fn post(&self, batch: PostedBatch) {
        let partition = self.partition(batch.sender.account());
        if let Some(machine) = self.lanes[partition.index()].local() {
            // Dropped when it is busy: then the sender is told to send it again.
            machine.try_send(Intake::Posted(batch)).ok();
            return;
        }
        let store = self.store.clone();
        self.runtime.spawn(async move {
            let PostedBatch { sender, signals, accepted } = batch;
            match forward(&store, partition, sender, signals).await {
                Ok(outcome) => {
                    accepted.send(outcome).ok(); // the client may have gone
                }
                Err(error) => {
                    tracing::warn!(%partition, "posted signals could not be handed over: {error:#}");
                }
            }
        });
    }
}

/// Hands posted signals over to the owner of their partition. They are in the log when this returns: whatever
/// their sender posts after that, to whichever node, comes behind them.
async fn forward(
    store: &Store,
    partition: Partition,
    sender: Sender,
    signals: Vec<(Posted, Box<RawValue>)>,
) -> anyhow::Result<Accepted> {
    let nats = store.nats().context("a server alone has all partitions")?;
    let total = signals.len();
    let ids: Arc<[String]> = signals.iter().map(|(posted, _)| posted.id.clone()).collect();
    let known = async || {
        let (who, ids) = (sender.clone(), ids.clone());
        store.read_async(move |reader| reader.known_ids(partition, &who, &ids)).await
    };
    let repeated = known().await?;
    let outcome = Accepted { accepted: total.saturating_sub(repeated), repeated };
    if outcome.accepted == 0 {
        return Ok(outcome);
    }
    let mut taken = store.follow_intake(partition);
    let sequence = nats.forward(partition, ForwardedInput::Posted(sender.clone(), signals).write()).await?;
    let deadline = clock::now() + TAKEN_WITHIN;
    loop {
        let is_taken = timeout(LOOK_EVERY, taken.wait_for(|&taken| taken >= sequence)).await.is_ok();
        // What its owner knew already is not written again, and no batch says that it was taken.
        if known().await? >= total {
            return Ok(outcome);
        }
        ensure!(!is_taken, "their owner has refused them; its log says why");
        ensure!(clock::now() < deadline, "their owner does not take them");
    }
}
