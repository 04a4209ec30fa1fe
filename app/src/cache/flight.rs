//! Single flight: whoever wants what is being made already waits for it instead of making it again. It knows nothing of what is made.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// What is being made in this process.
pub(super) struct Flights<K, V> {
    running: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

/// What one who wants something becomes.
pub(super) enum Boarding<K: Eq + Hash + Copy, V> {
    /// The one who makes it, and waits like the others.
    Leader(Landing<K, V>, Waiting<V>),
    /// One who waits.
    Follower(Waiting<V>),
}

/// The duty to make something. Dropped without having landed, it tells those who wait that nothing will come.
pub(super) struct Landing<K: Eq + Hash + Copy, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    sender: watch::Sender<Option<V>>,
}

/// The right to what is being made.
pub(super) struct Waiting<V>(watch::Receiver<Option<V>>);

impl<K: Eq + Hash + Copy, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { running: Mutex::default() })
    }

    pub(super) fn board(self: &Arc<Self>, key: K) -> Boarding<K, V> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = running.get(&key) {
            return Boarding::Follower(Waiting(receiver.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(key, receiver.clone());
        Boarding::Leader(Landing { flights: Arc::clone(self), key, sender }, Waiting(receiver))
    }
}

impl<K: Eq + Hash + Copy, V> Landing<K, V> {
    pub(super) fn land(self, value: V) {
        self.sender.send_replace(Some(value));
    }
}

impl<K: Eq + Hash + Copy, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<V: Clone> Waiting<V> {
    /// None if the one who was making it panicked.
    pub(super) async fn wait(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_makes_it_for_all() {
        let flights = Flights::<i32, &str>::new();
        let Boarding::Leader(landing, leader) = flights.board(1) else { panic!("nobody makes it") };
        let Boarding::Follower(follower) = flights.board(1) else { panic!("two make it") };
        assert!(matches!(flights.board(2), Boarding::Leader(..)), "different things are not made together");
        landing.land("made");
        assert_eq!((leader.wait().await, follower.wait().await), (Some("made"), Some("made")));
        assert!(matches!(flights.board(1), Boarding::Leader(..)), "what has landed is still flying");
    }

    #[tokio::test]
    async fn a_leader_who_fails_leaves_nobody_waiting() {
        let flights = Flights::<i32, &str>::new();
        let Boarding::Leader(landing, leader) = flights.board(1) else { panic!("nobody makes it") };
        let Boarding::Follower(follower) = flights.board(1) else { panic!("two make it") };
        drop(landing);
        assert_eq!((leader.wait().await, follower.wait().await), (None, None));
        assert!(flights.running.lock().unwrap().is_empty());
    }
}
