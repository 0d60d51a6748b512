//! Responses that are read ahead of a slow client, so that the backend is done with them early.
//!
//! A bounded number of bytes; nothing is ever held back: what has come is there for the client at
//! once, so that streams stay streams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;

use crate::error::Error;
use crate::http::body::{Body, Frame, Frames};

/// Reads a body ahead by up to this many bytes.
pub(crate) fn read_ahead(mut body: Body, most: u64) -> Body {
    if body.is_empty() || body.is_upgraded() {
        return body;
    }
    let length = body.length();
    let queue = Rc::<Queue>::default();
    let filled = Rc::clone(&queue);
    let task = tokio::task::spawn_local(async move {
        loop {
            poll_fn(|cx| filled.poll_room(cx, most)).await;
            match body.frame().await {
                Some(frame) => filled.push(frame),
                None => break,
            }
        }
        filled.end();
    });
    let reader = Ahead {
        queue,
        task: task.abort_handle(),
    };
    Body::filtered(Box::new(reader), length)
}

#[derive(Debug, Default)]
struct Queue {
    frames: RefCell<VecDeque<Result<Frame, Error>>>,
    bytes: Cell<u64>,
    ended: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    filler: RefCell<Option<Waker>>,
}

fn wake(waker: &RefCell<Option<Waker>>) {
    if let Some(waker) = waker.borrow_mut().take() {
        waker.wake();
    }
}

fn size(frame: &Result<Frame, Error>) -> u64 {
    match frame {
        Ok(Frame::Data(data)) => data.len() as u64,
        _ => 0,
    }
}

impl Queue {
    fn poll_room(&self, cx: &mut Context<'_>, most: u64) -> Poll<()> {
        if self.bytes.get() < most {
            return Poll::Ready(());
        }
        *self.filler.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn push(&self, frame: Result<Frame, Error>) {
        self.bytes.set(self.bytes.get() + size(&frame));
        self.frames.borrow_mut().push_back(frame);
        wake(&self.reader);
    }

    fn end(&self) {
        self.ended.set(true);
        wake(&self.reader);
    }
}

/// The client's end.
#[derive(Debug)]
struct Ahead {
    queue: Rc<Queue>,
    task: AbortHandle,
}

impl Frames for Ahead {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let frame = self.queue.frames.borrow_mut().pop_front();
        if let Some(frame) = frame {
            self.queue.bytes.set(self.queue.bytes.get() - size(&frame));
            wake(&self.queue.filler);
            return Poll::Ready(Some(frame));
        }
        if self.queue.ended.get() {
            return Poll::Ready(None);
        }
        *self.queue.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}
