//! Places for what is limited per process, exact over all workers and cheap for each of them.
//!
//! A worker takes places from the common number in batches and gives batches back, so that a request
//! usually touches its own worker's numbers only. What must stay true: never more are taken than the
//! limit says; with a small limit the batch is one and none is refused while there is a place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// The common number of one limit.
#[derive(Debug, Default)]
pub(crate) struct Places {
    leased: AtomicUsize,
    queue: Queue,
}

/// One worker's share of it: only that worker writes here.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    free: AtomicUsize,
    taken: AtomicUsize,
}

/// A limit, and how many places a worker leases at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    limit: usize,
    batch: usize,
}

impl Measure {
    pub(crate) fn new(limit: usize, workers: usize) -> Self {
        const LARGEST: usize = 32;
        // What lies about in stocks is at most an eighth of the limit.
        let batch = limit / workers.max(1) / 16;
        Self {
            limit,
            batch: batch.clamp(1, LARGEST),
        }
    }
}

impl Stock {
    /// How many places are taken by this worker.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn set(&self, free: usize, taken: usize) {
        self.free.store(free, Ordering::Relaxed);
        self.taken.store(taken, Ordering::Relaxed);
    }

    fn read(&self) -> (usize, usize) {
        (self.free.load(Ordering::Relaxed), self.taken())
    }
}

impl Places {
    /// Takes a place, to be given back by [`Places::give`] on the same worker.
    pub(crate) fn take(&self, stock: &Stock, measure: Measure) -> bool {
        let (mut free, taken) = stock.read();
        if free == 0 {
            free = self.lease(measure);
            if free == 0 {
                return false;
            }
        }
        stock.set(free - 1, taken + 1);
        true
    }

    /// Gives a place back.
    pub(crate) fn give(&self, stock: &Stock, measure: Measure) {
        let (free, taken) = stock.read();
        let wanted = self.queue.is_waited_for();
        let free = free + 1;
        let keep = if wanted {
            0
        } else if free > 2 * (measure.batch - 1) {
            measure.batch - 1
        } else {
            free
        };
        stock.set(keep, taken.saturating_sub(1));
        if keep < free {
            self.leased.fetch_sub(free - keep, Ordering::Relaxed);
        }
        if wanted {
            self.queue.freed();
        }
    }

    /// Where to wait for a place.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    fn lease(&self, measure: Measure) -> usize {
        let mut leased = self.leased.load(Ordering::Relaxed);
        loop {
            let got = measure.limit.saturating_sub(leased).min(measure.batch);
            if got == 0 {
                return 0;
            }
            let exchanged = self.leased.compare_exchange_weak(
                leased,
                leased + got,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return got,
                Err(now) => leased = now,
            }
        }
    }
}

/// Those who wait for a place, in order, on whatever worker.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: AtomicUsize,
    freed: Notify,
}

/// How long a queue may be, and how long anybody stands in it (L-86).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub most: usize,
    pub time: Duration,
}

/// One who waits.
struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// Asks `attempt` again each time that a place may be free. `None` if the queue is full, or if
    /// there was none in time.
    pub(crate) async fn wait<T>(
        &self,
        patience: Patience,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        // A place that was given back between the look and the wait is found at the next look.
        const LOOK: Duration = Duration::from_millis(20);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= patience.most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let _waiting = Waiting(self);
        let waiting = async {
            loop {
                let freed = tokio::time::timeout(LOOK, self.freed.notified());
                if let Some(found) = attempt() {
                    return found;
                }
                // Whether it was told or looked by itself, it asks again.
                let _ = freed.await;
            }
        };
        tokio::time::timeout(patience.time, waiting).await.ok()
    }

    /// Tells whoever waits longest that there may be a place.
    pub(crate) fn freed(&self) {
        if self.is_waited_for() {
            self.freed.notify_one();
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn is_waited_for(&self) -> bool {
        self.waiting() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exact_whatever_worker_asks() {
        for (limit, workers) in [(0, 2), (1, 2), (2, 2), (7, 4), (10_000, 4), (4096, 64)] {
            let measure = Measure::new(limit, workers);
            let places = Places::default();
            let stocks: Vec<_> = (0..workers).map(|_| Stock::default()).collect();
            let mut taken = 0;
            while let Some(stock) = stocks.iter().find(|stock| places.take(stock, measure)) {
                let _ = stock;
                taken += 1;
            }
            assert_eq!(taken, limit, "{workers} workers");
        }
    }

    #[test]
    fn what_is_given_back_can_be_had_by_others() {
        let measure = Measure::new(2, 2);
        let places = Places::default();
        let (one, other) = (Stock::default(), Stock::default());
        assert!(places.take(&one, measure) && places.take(&one, measure));
        assert!(!places.take(&other, measure));
        places.give(&one, measure);
        assert!(places.take(&other, measure) && !places.take(&one, measure));
        assert_eq!((one.taken(), other.taken()), (1, 1));
    }

    #[test]
    fn stocks_stay_small() {
        let measure = Measure::new(10_000, 2);
        let places = Places::default();
        let (one, other) = (Stock::default(), Stock::default());
        (0..5000).for_each(|_| assert!(places.take(&one, measure)));
        (0..5000).for_each(|_| places.give(&one, measure));
        let had = (0..20_000).filter(|_| places.take(&other, measure)).count();
        assert!((9_900..=10_000).contains(&had), "{had}");
    }

    #[tokio::test]
    async fn a_queue_is_bounded_in_length_and_time() {
        let queue = Queue::default();
        let patience = |most| Patience {
            most,
            time: Duration::from_millis(50),
        };
        assert_eq!(queue.wait(patience(0), || Some(1)).await, None);
        assert_eq!(queue.wait(patience(1), || None::<u8>).await, None);
        assert_eq!(queue.wait(patience(1), || Some(1)).await, Some(1));
        assert!(!queue.is_waited_for());
    }
}
