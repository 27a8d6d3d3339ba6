//! The way from who wants an action to the connection that asks the switch for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hookswitch_model::ActionId;
use hookswitch_signal::switch::{Acted, Action, CannotAct, SwitchConnection};
use tokio::sync::{mpsc, oneshot};

/// The most orders that wait for a connection; those in flight are bounded by the source.
const ORDERS_MAX: usize = 64;

/// An action for a switch.
pub(crate) struct Order {
    pub(crate) id: ActionId,
    pub(crate) action: Action,
    /// Set before it is sent: from here on it may have been carried out.
    pub(crate) was_sent: Arc<AtomicBool>,
    /// Told what the switch answers; dropped if the connection is lost before.
    pub(crate) answer: oneshot::Sender<Result<Acted, CannotAct>>,
}

/// The queue of a source whose calls may be acted on, while its switch is connected to.
#[derive(Default)]
pub(crate) struct ControlLine(Mutex<Option<mpsc::Sender<Order>>>);

impl ControlLine {
    /// Hands an order to the connection; false if there is none, or it has too many.
    pub(crate) fn send(&self, order: Order) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| sender.try_send(order).is_ok())
    }

    /// Returns `true` if the switch is connected to.
    pub(crate) fn is_up(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn set(&self, sender: Option<mpsc::Sender<Order>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }
}

/// The orders of one connection, and who waits for their answers.
#[derive(Default)]
pub(crate) struct Placement {
    line: Option<(Arc<ControlLine>, mpsc::Sender<Order>, mpsc::Receiver<Order>)>,
    open: HashMap<ActionId, oneshot::Sender<Result<Acted, CannotAct>>>,
}

impl Placement {
    /// Those of a source; none of one whose calls are not acted on.
    pub(crate) fn of(line: Option<&Arc<ControlLine>>) -> Self {
        let line = line.map(|line| {
            let (sender, receiver) = mpsc::channel(ORDERS_MAX);
            (line.clone(), sender, receiver)
        });
        Self { line, open: HashMap::new() }
    }

    /// Takes orders from here on: the switch has let us in.
    pub(crate) fn begin(&self) {
        if let Some((line, sender, _)) = &self.line {
            line.set(Some(sender.clone()));
        }
    }

    /// The next order; never comes back where there are none.
    pub(crate) async fn next(&mut self) -> Order {
        match &mut self.line {
            // It has a sender of its own, so there is always one.
            Some((_, _, receiver)) => match receiver.recv().await {
                Some(order) => order,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// Asks the switch for what an order says.
    pub(crate) fn carry_out(&mut self, order: Order, connection: &mut SwitchConnection) {
        let Order { id, action, was_sent, answer } = order;
        if answer.is_closed() {
            return; // nobody waits any more, and it was not sent
        }
        was_sent.store(true, Ordering::Release);
        match connection.act(id, &action) {
            Ok(()) => {
                self.open.insert(id, answer);
            }
            Err(error) => {
                was_sent.store(false, Ordering::Release);
                answer.send(Err(error)).ok(); // who has asked may have gone
            }
        }
    }

    /// Tells who waits what the switch has answered.
    pub(crate) fn answered(&mut self, id: ActionId, acted: Acted) {
        if let Some(answer) = self.open.remove(&id) {
            answer.send(Ok(acted)).ok(); // likewise
        }
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if let Some((line, ..)) = &self.line {
            line.set(None);
        }
    }
}
