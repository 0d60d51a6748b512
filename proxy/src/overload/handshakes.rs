//! TLS handshakes that are not finished: how many there may be, and how much work they are (L-82,
//! L-83).
//!
//! Beyond the limit the oldest one of the worker is closed, so that a flood of silent clients closes
//! itself. The work of a handshake comes in steps of a fraction of a millisecond; a worker does so
//! many of them, then looks after everything else, in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::Overload;

/// The unfinished handshakes of a worker, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    open: RefCell<BTreeMap<u64, Rc<Notify>>>,
    next: Cell<u64>,
    steps: Steps,
}

/// One handshake, from accept to its end.
#[derive(Debug)]
pub(crate) struct Unfinished {
    handshakes: Rc<Handshakes>,
    overload: Arc<Overload>,
    id: u64,
    close: Rc<Notify>,
}

impl Handshakes {
    /// Counts a handshake in; beyond `most` in the process, the oldest one here is closed.
    pub(crate) fn begin(self: &Rc<Self>, overload: &Arc<Overload>, most: usize) -> Unfinished {
        let id = self.next.replace(self.next.get() + 1);
        let close = Rc::new(Notify::new());
        self.open.borrow_mut().insert(id, Rc::clone(&close));
        let before = overload.handshakes.fetch_add(1, Ordering::Relaxed);
        let unfinished = Unfinished {
            handshakes: Rc::clone(self),
            overload: Arc::clone(overload),
            id,
            close,
        };
        if before >= most
            && let Some((_, oldest)) = self.open.borrow_mut().pop_first()
        {
            oldest.notify_one();
        }
        unfinished
    }
}

impl Unfinished {
    /// Waits for a part of the handshake; an error is the rule that ended it.
    pub(crate) async fn within<T>(
        &self,
        time: Duration,
        part: impl Future<Output = T>,
    ) -> Result<T, &'static str> {
        tokio::select! {
            biased;
            () = self.close.notified() => Err("L-82"),
            done = tokio::time::timeout(time, part) => done.map_err(|_| "L-62"),
        }
    }

    /// Runs the work of the handshake in steps that take turns with everything else (L-83).
    pub(crate) async fn stepwise<T>(&self, most: usize, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut turn = None;
        std::future::poll_fn(|cx| {
            std::task::ready!(self.handshakes.poll_step(cx, &mut turn, most));
            work.as_mut().poll(cx)
        })
        .await
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.handshakes.open.borrow_mut().remove(&self.id);
        self.overload.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Steps of handshakes in this turn of the event loop.
#[derive(Debug, Default)]
struct Steps {
    done: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Turn>>>,
    /// Whether the task that begins the next turn is on its way.
    resuming: Cell<bool>,
}

/// A handshake that waits for its step.
#[derive(Debug)]
struct Turn {
    waker: RefCell<Waker>,
    is_here: Cell<bool>,
}

impl Handshakes {
    /// Ready when one more step may be made now.
    fn poll_step(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        turn: &mut Option<Rc<Turn>>,
        most: usize,
    ) -> Poll<()> {
        let steps = &self.steps;
        if let Some(waiting) = turn {
            if !waiting.is_here.get() {
                waiting.waker.borrow_mut().clone_from(cx.waker());
                return Poll::Pending;
            }
            *turn = None;
            return Poll::Ready(());
        }
        if steps.done.get() < most.max(1) {
            steps.done.set(steps.done.get() + 1);
            return Poll::Ready(());
        }
        let waiting = Rc::new(Turn {
            waker: RefCell::new(cx.waker().clone()),
            is_here: Cell::new(false),
        });
        steps.waiting.borrow_mut().push_back(Rc::clone(&waiting));
        *turn = Some(waiting);
        if !steps.resuming.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).resume(most.max(1)));
        }
        Poll::Pending
    }

    /// Lets those who wait have their steps, so many in each turn of the loop.
    async fn resume(self: Rc<Self>, most: usize) {
        let steps = &self.steps;
        loop {
            // Comes back once sockets and timers have been looked at.
            tokio::task::yield_now().await;
            let mut given = 0;
            while given < most {
                let Some(next) = steps.waiting.borrow_mut().pop_front() else {
                    break;
                };
                // Who went away needs none.
                if Rc::strong_count(&next) > 1 {
                    next.is_here.set(true);
                    next.waker.borrow().wake_by_ref();
                    given += 1;
                }
            }
            steps.done.set(given);
            if given < most {
                steps.resuming.set(false);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn beyond_the_limit_the_oldest_is_closed() {
        let (handshakes, overload) = (Rc::<Handshakes>::default(), Arc::new(Overload::new(1)));
        let open: Vec<_> = (0..4).map(|_| handshakes.begin(&overload, 3)).collect();
        let [oldest, second, _, newest] = open.as_slice() else {
            panic!()
        };
        let time = Duration::from_millis(1);
        let never = std::future::pending::<()>;
        assert_eq!(oldest.within(time, never()).await, Err("L-82"));
        assert_eq!(second.within(time, never()).await, Err("L-62"));
        assert_eq!(newest.within(time, async { 7 }).await, Ok(7));
        drop(open);
        assert_eq!(overload.handshakes.load(Ordering::Relaxed), 0);
        assert!(handshakes.open.borrow().is_empty());
    }

    #[tokio::test]
    async fn handshakes_and_everything_else_take_turns() {
        const STEPS: usize = 4;
        let (handshakes, overload) = (Rc::<Handshakes>::default(), Arc::new(Overload::new(1)));
        let order = Rc::new(RefCell::new(Vec::new()));
        LocalSet::new()
            .run_until(async {
                let tasks: Vec<_> = (0..40)
                    .map(|n| {
                        let unfinished = handshakes.begin(&overload, 100);
                        let order = Rc::clone(&order);
                        spawn_local(async move {
                            let work = async { order.borrow_mut().push(Some(n)) };
                            unfinished.stepwise(STEPS, work).await;
                        })
                    })
                    .collect();
                let other = Rc::clone(&order);
                let others = spawn_local(async move {
                    for _ in 0..200 {
                        other.borrow_mut().push(None);
                        tokio::task::yield_now().await;
                    }
                });
                for task in tasks {
                    task.await.unwrap();
                }
                others.abort();
            })
            .await;
        let order = order.borrow();
        let done: Vec<_> = order.iter().flatten().copied().collect();
        assert_eq!(
            done,
            (0..40).collect::<Vec<_>>(),
            "in the order of their coming"
        );
        let runs = order.split(Option::is_none).map(<[_]>::len);
        assert!(runs.clone().all(|run| run <= STEPS), "{order:?}");
        assert!(runs.filter(|run| *run > 0).count() >= 40 / STEPS);
    }
}
