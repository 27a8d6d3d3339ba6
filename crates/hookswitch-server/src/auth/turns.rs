//! Turns to check a secret: a hash takes much memory and time, so that few are under way, and everybody who waits has
//! a turn of equal weight, however many requests one address sends.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most requests of one address that wait: of one that has guessed wrong of late, few.
const WAITING_PER_HOST_MAX: [usize; 2] = [512, 8];

/// The most that wait in all.
const WAITING_MAX: usize = 2048;

/// Turns, of which so many are taken at once.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<Queues>>);

struct Queues {
    free: usize,
    waiting: usize,
    /// The addresses that wait, in the order of their turns: those that have guessed wrong come last.
    order: [VecDeque<IpAddr>; 2],
    hosts: HashMap<(usize, IpAddr), VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn that was taken; the next may be when it is dropped.
pub(super) struct Turn(Option<Turns>);

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let queues = Queues { free: at_once, waiting: 0, order: Default::default(), hosts: HashMap::new() };
        Self(Arc::new(Mutex::new(queues)))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; none if too many of this address, or of all, wait already.
    pub(super) async fn take(&self, host: IpAddr, has_guessed: bool) -> Option<Turn> {
        let receiver = {
            let mut queues = self.queues();
            if queues.free > 0 {
                queues.free -= 1;
                return Some(Turn(Some(self.clone())));
            }
            if queues.waiting >= WAITING_MAX {
                return None;
            }
            let class = usize::from(has_guessed);
            let of_host = queues.hosts.entry((class, host)).or_default();
            if of_host.len() >= WAITING_PER_HOST_MAX[class] {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            of_host.push_back(sender);
            let is_first = of_host.len() == 1;
            queues.waiting += 1;
            if is_first {
                queues.order[class].push_back(host);
            }
            receiver
        };
        receiver.await.ok()
    }

    /// Gives a turn that has ended to who is next.
    fn pass_on(&self) {
        loop {
            let sender = {
                let mut queues = self.queues();
                let Some(sender) = queues.next() else {
                    queues.free += 1;
                    return;
                };
                sender
            };
            match sender.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited has gone; the turn is not to be passed on twice.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }
}

impl Queues {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        for class in 0..self.order.len() {
            while let Some(host) = self.order[class].pop_front() {
                let Some(of_host) = self.hosts.get_mut(&(class, host)) else { continue };
                let sender = of_host.pop_front();
                if of_host.is_empty() {
                    self.hosts.remove(&(class, host));
                } else {
                    self.order[class].push_back(host);
                }
                if let Some(sender) = sender {
                    self.waiting -= 1;
                    return Some(sender);
                }
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[tokio::test]
    async fn who_sends_much_waits_for_who_sends_little() {
        let turns = Turns::new(1);
        let first = turns.take(host(1), false).await.expect("nobody else is there");
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut waits = Vec::new();
        for (number, has_guessed) in [(1, false), (1, false), (1, false), (3, true), (2, false)] {
            let (turns, done) = (turns.clone(), done.clone());
            waits.push(tokio::spawn(async move {
                let turn = turns.take(host(number), has_guessed).await;
                done.send(number).ok();
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        drop((first, done));
        let mut came = Vec::new();
        while let Some(number) = order.recv().await {
            came.push(number);
        }
        assert_eq!(came, [1, 2, 1, 1, 3], "by turns, and those who have guessed last");
    }

    #[tokio::test]
    async fn too_many_of_one_address_are_refused_and_who_gives_up_costs_no_turn() {
        let turns = Turns::new(1);
        let first = turns.take(host(1), false).await.expect("nobody else is there");
        let mut waits: Vec<_> = (0..WAITING_PER_HOST_MAX[1])
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(host(1), true).await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(turns.take(host(1), true).await.is_none());
        waits.drain(..4).for_each(|wait| wait.abort());
        tokio::task::yield_now().await;
        drop(first);
        for wait in waits {
            assert!(wait.await.expect("no panic"));
        }
        assert_eq!(turns.queues().free, 1);
        assert!(turns.take(host(2), false).await.is_some());
    }
}
