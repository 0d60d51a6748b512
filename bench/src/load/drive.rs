//! Runs a plan: threads, the window, and what is watched meanwhile.
//!
//! Each thread of the generator has its own runtime, clients and counts. The thread that called
//! opens and closes the window by reading the watched processes at both ends.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Shared;
use super::client::{Slot, Unit, Work, hold, parallel, serial};
use super::http1;
use super::http2;
use super::io::Dial;
use super::outcome::{Outcome, Weights};
use super::pace::Schedule;
use super::plan::{Pace, Plan, Protocol};
use super::raw::Job;
use super::tally::{Counts, Tally};
use super::websocket::Message;
use crate::watch::{Tree, Usage, pause};

/// How long what is in flight may take after the window.
const DRAIN: Duration = Duration::from_millis(500);

/// How long held connections may take to be there.
const GATHER: Duration = Duration::from_mins(1);

/// Connections that are made at once when they are held.
const DIALS: usize = 64;

/// Where all threads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Warming,
    Counting,
    Over,
}

/// Does what the plan says.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let (stage, _) = watch::channel(Step::Warming);
    let ready = Arc::new(AtomicUsize::new(0));
    let threads = plan.threads.clamp(1, plan.connections.max(1));
    let mut workers = Vec::with_capacity(threads);
    for index in 0..threads {
        let plan = share(plan, index, threads);
        // What cannot be done is said before anything runs.
        let dial = Dial::new(&plan)?;
        let (step, ready) = (stage.subscribe(), Arc::clone(&ready));
        let worker = std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || work(&plan, dial, step, &ready))?;
        workers.push(worker);
    }
    let measured = measure(plan, &stage, &ready);
    stage.send_replace(Step::Over);
    let mut counts = Counts::default();
    for worker in workers {
        let worked = worker.join();
        let worked = worked.map_err(|_| io::Error::other("a thread of the generator broke"))?;
        counts.merge(&worked?);
    }
    let mut measured = measured?;
    let (seconds, usage, generator) = measured.window;
    let mut outcome = Outcome::new(counts, seconds);
    outcome.usage = usage;
    outcome.generator_cpu = generator;
    if let (Some(weights), Some(tree)) = (&mut measured.weights, &measured.tree) {
        pause(plan.idle.unwrap_or_default().after.duration());
        weights.after = tree.memory()?;
    }
    outcome.weights = measured.weights;
    Ok(outcome)
}

/// The part of one thread.
fn share(plan: &Plan, index: usize, threads: usize) -> Plan {
    let part = |whole: f64| whole / threads as f64;
    Plan {
        connections: plan.connections / threads + usize::from(index < plan.connections % threads),
        pace: match plan.pace {
            Pace::Closed => Pace::Closed,
            Pace::Constant(rate) => Pace::Constant(part(rate)),
            Pace::Poisson(rate) => Pace::Poisson(part(rate)),
        },
        ..plan.clone()
    }
}

struct Measured {
    window: (f64, Option<Usage>, f64),
    weights: Option<Weights>,
    tree: Option<Tree>,
}

fn measure(plan: &Plan, stage: &watch::Sender<Step>, ready: &AtomicUsize) -> io::Result<Measured> {
    let tree = plan.watch.map(Tree::new);
    if let Some(idle) = plan.idle {
        let tree = tree.ok_or_else(|| io::Error::other("idle connections of nobody"))?;
        let before = tree.memory()?;
        stage.send_replace(Step::Counting);
        let deadline = Instant::now() + GATHER;
        while ready.load(Ordering::Relaxed) < plan.connections {
            if Instant::now() > deadline {
                return Err(io::Error::other("not all connections came about"));
            }
            pause(Duration::from_millis(10));
        }
        pause(idle.settle.duration());
        let weights = Weights {
            held: plan.connections as u64,
            before,
            with: tree.memory()?,
            after: before,
        };
        return Ok(Measured {
            window: (idle.settle.0, None, 0.0),
            weights: Some(weights),
            tree: Some(tree),
        });
    }
    pause(plan.warmup.duration());
    let own = Tree::new(std::process::id());
    let begin = tree.as_ref().map(Tree::sample).transpose()?;
    let own_begin = own.sample()?;
    let started = Instant::now();
    stage.send_replace(Step::Counting);
    pause(plan.duration.duration());
    let end = tree.as_ref().map(Tree::sample).transpose()?;
    let seconds = started.elapsed().as_secs_f64();
    let generator = own.sample()?.since(&own_begin).cpu();
    let usage = match (begin, end) {
        (Some(begin), Some(end)) => Some(end.since(&begin)),
        _ => None,
    };
    Ok(Measured {
        window: (seconds, usage, generator),
        weights: None,
        tree,
    })
}

fn work(
    plan: &Plan,
    dial: Dial,
    mut step: watch::Receiver<Step>,
    ready: &AtomicUsize,
) -> io::Result<Counts> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async {
        let shared = Rc::new(Shared {
            dial,
            schedule: Schedule::new(if plan.idle.is_some() {
                // Nothing is ever due but the one unit that each may ask for.
                Pace::Constant(0.0)
            } else {
                plan.pace
            }),
            tally: Tally::new(),
            expect: plan.expect.clone(),
            streams: plan.streams.max(1),
            churn: plan.churn,
            ready: Cell::new(0),
        });
        let work = what(plan);
        if let Some(idle) = plan.idle {
            wait(&mut step, Step::Counting).await;
            gather(plan, &shared, &work, idle.ask, (step, ready)).await;
        } else {
            let slots = start(plan, &shared, &work);
            wait(&mut step, Step::Counting).await;
            shared.tally.window(true);
            wait(&mut step, Step::Over).await;
            shared.tally.window(false);
            let end = Instant::now();
            finish(&shared, &slots, end).await;
        }
        Ok(shared.tally.counts.take())
    })
}

fn what(plan: &Plan) -> Work {
    match plan.protocol {
        Protocol::Http1 => Work::Serial(Rc::new(Unit::Http1(http1::Request::new(plan)))),
        Protocol::WebSocket => Work::Serial(Rc::new(Unit::WebSocket(Message::new(plan)))),
        Protocol::RawEcho | Protocol::RawDownload | Protocol::RawUpload => {
            Work::Serial(Rc::new(Unit::Raw(Job::new(plan))))
        }
        Protocol::Http2 | Protocol::Grpc => Work::Parallel(Rc::new(http2::Request::new(plan))),
    }
}

/// Starts all clients and, for an open load, the clock.
fn start(plan: &Plan, shared: &Rc<Shared>, work: &Work) -> Vec<Slot> {
    let mut slots = Vec::new();
    for _ in 0..plan.connections {
        let shared = Rc::clone(shared);
        match work {
            Work::Serial(unit) => {
                let slot = Slot::default();
                slots.push(Rc::clone(&slot));
                tokio::task::spawn_local(serial(shared, Rc::clone(unit), slot));
            }
            Work::Parallel(request) => {
                tokio::task::spawn_local(parallel(shared, Rc::clone(request)));
            }
        }
    }
    if shared.schedule.is_open() {
        let shared = Rc::clone(shared);
        let pace = plan.pace;
        tokio::task::spawn_local(async move {
            if let Err(error) = shared.schedule.keep(pace).await {
                shared.tally.failed(&format!("no clock: {error}"));
            }
        });
    }
    slots
}

/// Lets what is in flight end, and counts what is still due in an open load.
async fn finish(shared: &Rc<Shared>, slots: &[Slot], end: Instant) {
    let pending: Vec<Slot> = slots
        .iter()
        .filter(|slot| slot.get().is_some())
        .cloned()
        .collect();
    let left = shared.schedule.left();
    shared.schedule.end();
    if !shared.schedule.is_open() {
        return;
    }
    for intended in left {
        shared.tally.unfinished(intended, end);
    }
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline && pending.iter().any(|slot| slot.get().is_some()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for intended in pending.iter().filter_map(|slot| slot.get()) {
        shared.tally.unfinished(intended, end);
    }
}

/// Opens all connections, some at a time, and holds them until all is over.
async fn gather(
    plan: &Plan,
    shared: &Rc<Shared>,
    work: &Work,
    ask: bool,
    (step, ready): (watch::Receiver<Step>, &AtomicUsize),
) {
    let mut tasks = Vec::with_capacity(plan.connections);
    let mut told = 0;
    while tasks.len() < plan.connections {
        let there = shared.ready.get() + shared.tally.counts.borrow().failed() as usize;
        while tasks.len() < plan.connections && tasks.len() < there + DIALS {
            let held = hold(Rc::clone(shared), work.clone(), ask);
            tasks.push(tokio::task::spawn_local(held));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    loop {
        // One that failed will not come either; the outcome tells of it.
        let there = shared.ready.get() + shared.tally.counts.borrow().failed() as usize;
        ready.fetch_add(there - told, Ordering::Relaxed);
        told = there;
        if *step.borrow() == Step::Over {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shared.schedule.end();
    for task in tasks {
        let _ = task.await;
    }
}

/// An end without a word is the end.
async fn wait(stage: &mut watch::Receiver<Step>, step: Step) {
    let _ = stage.wait_for(|now| *now >= step).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_load_without_a_rest() {
        let plan = Plan {
            connections: 10,
            pace: Pace::Constant(900.0),
            ..Plan::default()
        };
        let parts: Vec<Plan> = (0..3).map(|index| share(&plan, index, 3)).collect();
        let connections: Vec<usize> = parts.iter().map(|part| part.connections).collect();
        assert_eq!(connections, [4, 3, 3]);
        assert!(parts.iter().all(|part| part.pace == Pace::Constant(300.0)));
    }
}
