//! Copies of requests that nobody waits for (section 6.10).
//!
//! A copy has a task of its own. The body of the original is passed on as it comes; each piece is
//! handed to the copy too, while the copy keeps up: it may be a bounded number of bytes behind, and
//! is given up beyond. What must stay true: nothing of a copy makes the original wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use adit_route::CanonicalHost;
use adit_route::policy::Mirror;
use bytes::Bytes;
use http::uri::PathAndQuery;

use super::super::expand::expand;
use super::super::passage::Scene;
use crate::error::Error;
use crate::http::body::{Body, Frame, Frames};
use crate::http::forward::{self, Aim};
use crate::http::handle::Serving;
use crate::http::message::{Interim, Request};
use crate::snapshot::CompiledUpstream;
use crate::worker::Worker;

/// Copies under way of one worker, at most.
const MOST_COPIES: usize = 256;

/// How far the body of a copy may be behind that of its original, in bytes.
const MOST_BEHIND: usize = 256 * 1024;

/// The compiled policy.
#[derive(Debug)]
pub(super) struct CompiledMirror {
    policy: Mirror,
    upstream: Arc<CompiledUpstream>,
    /// The host of copies with its port; `None` copies that of the request.
    host: Option<(CanonicalHost, Option<u16>)>,
}

impl CompiledMirror {
    pub(super) fn new(policy: &Mirror, upstream: Arc<CompiledUpstream>) -> Self {
        let host = policy.host.as_deref().and_then(|host| {
            let parsed = CanonicalHost::parse_authority(host.as_bytes());
            parsed.ok()
        });
        Self {
            policy: policy.clone(),
            upstream,
            host,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.upstream.upstream.spec().name
    }

    /// Sends a copy on its way, if it is this request's turn and there is room for it.
    pub(super) fn copy(&self, serving: Serving<'_>, scene: Scene<'_>) -> Option<Copy> {
        let worker = serving.worker;
        let stats = self.upstream.upstream.stats();
        let Mirror { weight, total, .. } = self.policy;
        if weight < total && worker.random.borrow_mut().u32(..total) >= weight {
            return None;
        }
        let Some(place) = Place::take(worker) else {
            stats.dropped(worker.index, 1);
            return None;
        };
        let target = expand(&self.policy.target, &scene);
        let target = PathAndQuery::try_from(target).ok()?;
        let original = scene.request;
        let (host, port) = match &self.host {
            Some((host, port)) => (host.clone(), *port),
            None => (original.host.clone(), original.port),
        };
        let mut request = Request {
            method: original.method.clone(),
            version: original.version,
            host,
            port,
            target,
            headers: original.headers.clone(),
            body: Body::empty(),
            expects_continue: false,
            upgrade: None,
            accepts_trailers: original.accepts_trailers,
            interim: Interim::None,
        };
        let copied = self.policy.body && !original.body.is_empty();
        let queue = copied.then(Rc::<Queue>::default);
        if let Some(queue) = &queue {
            let reader = Behind(Rc::clone(queue));
            request.body = Body::filtered(Box::new(reader), original.body.length());
        }
        self.send(serving, request, place);
        queue.map(Copy)
    }

    fn send(&self, serving: Serving<'_>, mut request: Request, place: Place) {
        let (worker, current) = (Rc::clone(serving.worker), Rc::clone(serving.current));
        let upstream = Arc::clone(&self.upstream);
        let patience = Aim::of(serving, &upstream).patience;
        tokio::task::spawn_local(async move {
            let _place = place;
            let aim = Aim {
                upstream: &upstream,
                hash: None,
                session: None,
                patience,
                authority: None,
                conveyed: None,
            };
            // Nobody reads the answer, and nobody is told of a failure but the counters.
            let Ok(mut response) = forward::ask(&worker, &current, &aim, &mut request).await else {
                return;
            };
            while let Some(Ok(_)) = response.body.frame().await {}
        });
    }
}

/// A place among the copies of a worker.
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let copies = worker.copies.get();
        if copies >= MOST_COPIES {
            return None;
        }
        worker.copies.set(copies + 1);
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get() - 1);
    }
}

/// The original's end of a copy.
#[derive(Debug)]
pub(super) struct Copy(Rc<Queue>);

/// What the original has passed on and the copy has not.
#[derive(Debug, Default)]
struct Queue {
    pieces: RefCell<VecDeque<Bytes>>,
    behind: Cell<usize>,
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The original has ended well.
    Complete,
    /// The copy is given up: it must not be taken for the whole.
    Lost,
}

impl Queue {
    fn push(&self, piece: &Bytes) {
        if self.state.get() != State::Open {
            return;
        }
        let behind = self.behind.get() + piece.len();
        if behind > MOST_BEHIND {
            self.pieces.borrow_mut().clear();
            return self.end(State::Lost);
        }
        self.behind.set(behind);
        self.pieces.borrow_mut().push_back(piece.clone());
        self.wake();
    }

    fn end(&self, state: State) {
        if self.state.get() == State::Open {
            self.state.set(state);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// The body of a copy.
#[derive(Debug)]
struct Behind(Rc<Queue>);

impl Frames for Behind {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let piece = self.0.pieces.borrow_mut().pop_front();
        if let Some(piece) = piece {
            self.0.behind.set(self.0.behind.get() - piece.len());
            return Poll::Ready(Some(Ok(Frame::Data(piece))));
        }
        match self.0.state.get() {
            State::Open => {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Complete => Poll::Ready(None),
            State::Lost => Poll::Ready(Some(Err(Error::ClientGone))),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.pieces.borrow_mut().clear();
        self.0.end(State::Lost);
    }
}

/// The body of the original: what is read from it goes to its copies too.
#[derive(Debug)]
pub(super) struct Copied {
    body: Body,
    copies: Vec<Copy>,
}

impl Copied {
    /// The body with copies of it.
    pub(super) fn wrap(body: Body, copies: Vec<Copy>) -> Body {
        let length = body.length();
        Body::filtered(Box::new(Self { body, copies }), length)
    }
}

impl Frames for Copied {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let polled = self.body.poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            for Copy(queue) in &self.copies {
                match frame {
                    Some(Ok(Frame::Data(piece))) => queue.push(piece),
                    Some(Ok(Frame::Trailers(_))) | None => queue.end(State::Complete),
                    Some(Err(_)) => queue.end(State::Lost),
                }
            }
        }
        polled
    }
}

impl Drop for Copied {
    /// An original of known length is not always read once more after its last byte.
    fn drop(&mut self) {
        let complete = self.body.is_read();
        let state = if complete {
            State::Complete
        } else {
            State::Lost
        };
        for Copy(queue) in &self.copies {
            queue.end(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(frames: &mut dyn Frames) -> Poll<Option<Result<Frame, Error>>> {
        frames.poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn data(polled: Poll<Option<Result<Frame, Error>>>) -> Option<Bytes> {
        match polled {
            Poll::Ready(Some(Ok(Frame::Data(data)))) => Some(data),
            _ => None,
        }
    }

    #[test]
    fn a_copy_gets_what_the_original_gets() {
        let queue = Rc::<Queue>::default();
        let mut copy = Behind(Rc::clone(&queue));
        let mut original = Copied::wrap(Body::full("abc"), vec![Copy(queue)]);
        assert!(poll(&mut copy).is_pending());
        let piece = original.poll_frame(&mut Context::from_waker(Waker::noop()));
        assert_eq!(data(piece).unwrap(), "abc");
        drop(original);
        assert_eq!(data(poll(&mut copy)).unwrap(), "abc");
        assert!(matches!(poll(&mut copy), Poll::Ready(None)));
    }

    #[test]
    fn a_copy_that_falls_behind_is_given_up_and_broken_off() {
        let queue = Rc::<Queue>::default();
        let mut copy = Behind(Rc::clone(&queue));
        let piece = Bytes::from(vec![0; MOST_BEHIND / 2 + 1]);
        queue.push(&piece);
        queue.push(&piece);
        queue.push(&piece);
        assert!(queue.pieces.borrow().is_empty(), "nothing is kept for it");
        assert!(matches!(poll(&mut copy), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn an_original_that_breaks_off_takes_its_copy_with_it() {
        let queue = Rc::<Queue>::default();
        let mut copy = Behind(Rc::clone(&queue));
        drop(Copied::wrap(Body::full("abc"), vec![Copy(queue)]));
        assert!(matches!(poll(&mut copy), Poll::Ready(Some(Err(_)))));
    }
}
