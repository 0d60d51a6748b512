//! What a worker does beside its clients: signs of life, the log, stale connections, shedding.
//!
//! Two timers of its own. One is short while requests come and tells how late the loop is; the other
//! does everything that can wait for a fifth of a second.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::trace;
use crate::worker::Worker;

const TICK: Duration = Duration::from_millis(200);

/// How often lateness is measured while there is work; without any, a tick is enough.
const BUSY: Duration = Duration::from_millis(20);

/// Backend connections are looked through every so many ticks.
const REAP_EVERY: u32 = 10;

/// Keeps house until the worker ends.
pub(crate) async fn keep(worker: Rc<Worker>) {
    worker.overload.runs_on(worker.index, thread_number());
    tokio::task::spawn_local(measure(Rc::clone(&worker)));
    let mut ticks = 0_u32;
    loop {
        worker.overload.beat(worker.index, worker.lag.value());
        tokio::time::sleep(TICK).await;
        worker.log.flush_if_old(Instant::now());
        trace::tick(&worker);
        ticks = ticks.wrapping_add(1);
        worker.shed();
        worker.shared.metrics.pool(worker.index, worker.pool.read());
        if ticks.is_multiple_of(REAP_EVERY) {
            reap(&worker);
        }
    }
}

fn thread_number() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0)
}

/// Notes how late timers are (L-92). Only the time counts in which this thread was at work: where other
/// programs keep the processors, there is nothing that we could shed.
async fn measure(worker: Rc<Worker>) {
    let mut seen = 0;
    loop {
        let served = worker.served.get();
        let period = if served == seen { TICK } else { BUSY };
        seen = served;
        let (due, before) = (tokio::time::Instant::now() + period, worked());
        tokio::time::sleep_until(due).await;
        let now = tokio::time::Instant::now();
        let late = now.saturating_duration_since(due);
        let worked = worked().saturating_sub(before);
        worker.lag.note(late.min(worked), now.into_std());
    }
}

/// Time for which this thread has had a processor.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

/// Drops backend connections that are stale, and those of endpoints that are gone.
fn reap(worker: &Worker) {
    let current = worker.current();
    let upstreams = current.snapshot.upstreams();
    let mut live: Vec<u32> = upstreams
        .flat_map(|upstream| {
            let endpoints = upstream.endpoints();
            endpoints.iter().map(|e| e.id()).collect::<Vec<_>>()
        })
        .collect();
    live.sort_unstable();
    let keep = current.limits.idle_upstream_timeout;
    let is_live = |endpoint| live.binary_search(&endpoint).is_ok();
    worker.pool.reap(keep, is_live);
    worker.pipes.clear();
}
