//! Divides what comes in among the lanes of the partitions.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use hookswitch_model::AccountId;
use tokio::runtime::Handle;

use super::carried::Carried;
use super::lane::Lane;
use crate::run::{Accepted, Intake, PostedBatch};
use crate::source::hep::Frames;
use crate::store::record::{Sender, Settings};
use crate::store::{Partition, Store};

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
                Intake::Told(batch) => {
                    let account = account(&batch.sender);
                    self.lane(account).push(Carried::Told(batch));
                }
                Intake::Settings(settings) => {
                    for machine in self.lanes.iter().filter_map(|lane| lane.local()) {
                        machine.send(Intake::Settings(settings.clone())).ok(); // it has ended
                    }
                    *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = *settings;
                }
                Intake::Stop => return,
                Intake::Carried(..) | Intake::Forwarded(..) => {
                    tracing::error!("what was divided already came in again; it is dropped");
                }
            }
        }
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
                lane.push(Carried::Frames(frames));
            }
        }
    }

    /// Hands posted signals to the machine on this node, or over to the owner; their sender hears of it when
    /// they are in the log, or in the stream by which they come to it.
    fn post(&self, batch: PostedBatch) {
        let partition = self.partition(account(&batch.sender));
        if let Some(machine) = self.lanes[partition.index()].local() {
            // Dropped when it is busy: then the sender is told to send it again.
            machine.try_send(Intake::Posted(batch)).ok();
            return;
        }
        let Some(nats) = self.store.nats().cloned() else { return };
        let store = self.store.clone();
        self.runtime.spawn(async move {
            let PostedBatch { sender, signals, accepted } = batch;
            let total = signals.len();
            let ids: Vec<String> = signals.iter().map(|(posted, _)| posted.id.clone()).collect();
            let who = sender.clone();
            let repeated = store.read_async(move |reader| reader.known_ids(partition, &who, &ids)).await;
            let message = Carried::Posted(sender, signals).write();
            match nats.forward(partition, message).await {
                Ok(_) => {
                    // What the owner has not told yet is not known here; it counts once all the same.
                    let repeated = repeated.unwrap_or_default().min(total);
                    accepted.send(Accepted { accepted: total - repeated, repeated }).ok(); // the client may have gone
                }
                Err(error) => tracing::warn!(%partition, %error, "posted signals could not be handed over"),
            }
        });
    }
}

/// Whose calls a sender tells of, when it does not say.
pub(super) fn account(sender: &Sender) -> u64 {
    match sender {
        Sender::Hep { account, .. }
        | Sender::Ingest { account, .. }
        | Sender::Ami { account, .. }
        | Sender::Esl { account, .. } => *account,
    }
}
