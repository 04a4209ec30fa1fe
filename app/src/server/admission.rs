//! Who is let in: a bound on how many requests are in work at once. More than a server can work on only makes all of them slow, so what
//! is above the bound is told at once to come back.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the requests that are in work.
#[derive(Debug)]
pub struct Admission {
    in_flight: AtomicUsize,
    requests_max: usize,
}

/// A request is in work as long as this lives, also if it ends by a panic or because the client has left.
#[derive(Debug)]
pub struct Admitted<'a>(&'a Admission);

impl Admission {
    /// Lets at most this many requests in at once.
    pub fn new(requests_max: usize) -> Self {
        Self { in_flight: AtomicUsize::new(0), requests_max }
    }

    /// Lets a request in, if there is room.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        let admitted = self.admit_always();
        // Counted first and looked at afterwards, in one step: of two that come at once for one place, one gets it.
        (admitted.1 < self.requests_max).then_some(admitted.0)
    }

    /// Lets a request in that must be answered however busy the server is. It counts as well.
    pub fn admit_exempt(&self) -> Admitted<'_> {
        self.admit_always().0
    }

    /// How many requests are in work now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn admit_always(&self) -> (Admitted<'_>, usize) {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        (Admitted(self), before)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_bound_and_a_place_is_given_back() {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert!(admission.admit().is_none());
        let exempt = admission.admit_exempt();
        assert_eq!(admission.in_flight(), 3);
        drop(exempt);
        drop(first);
        assert!(admission.admit().is_some());
        assert_eq!(admission.in_flight(), 1);
    }
}
