//! A request body on its way to a backend, beside whatever else happens on the connection.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::task::AbortHandle;

use super::encode;
use super::wire::Wire;
use crate::error::Error;
use crate::http::body::{Body, Frame};

/// The part of a request body that is still to be sent.
pub(super) struct Upload {
    pub wire: Rc<Wire>,
    pub body: Body,
    pub chunked: bool,
    pub out: BytesMut,
    pub rest: Bytes,
    pub state: UploadState,
    /// What was unwritten when the clock of a backend that takes nothing was last set.
    pub left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadState {
    /// Waiting for a 100.
    Held,
    Sending,
    /// A large chunk is going out; its CRLF follows.
    ChunkEnd,
    /// Everything has been put into the buffers.
    Done,
}

impl Upload {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.state == UploadState::Held {
            return Poll::Pending;
        }
        loop {
            if !self.out.is_empty() || !self.rest.is_empty() {
                match self.wire.poll_write(cx, &mut self.out, &mut self.rest) {
                    Poll::Ready(Ok(())) => self.left = usize::MAX,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::BackendIo(error))),
                    Poll::Pending => {
                        let left = self.out.len() + self.rest.len();
                        let stalled = self.wire.poll_stalled(cx, &mut self.left, left);
                        return stalled.map(|_| Err(Error::ResponseTimeout));
                    }
                }
            }
            match self.state {
                UploadState::Done => return Poll::Ready(Ok(())),
                UploadState::ChunkEnd => {
                    self.out.extend_from_slice(b"\r\n");
                    self.state = UploadState::Sending;
                }
                UploadState::Held | UploadState::Sending => {}
            }
            match std::task::ready!(self.body.poll_frame(cx)) {
                Some(Ok(Frame::Data(piece))) => {
                    if self.chunked && piece.len() > encode::COPY_UP_TO {
                        self.state = UploadState::ChunkEnd;
                    }
                    self.rest = encode::data(&mut self.out, piece, self.chunked);
                }
                // Request trailers do not pass to HTTP/1 (D-51).
                Some(Ok(Frame::Trailers(_))) | None => {
                    if self.chunked {
                        encode::last_chunk(&mut self.out, None);
                    }
                    self.state = UploadState::Done;
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends the rest in a task of its own, beside the response.
    pub(super) fn go_on(mut self) -> Sending {
        let done = Rc::new(Cell::new(false));
        let told = Rc::clone(&done);
        let task = tokio::task::spawn_local(async move {
            let result = poll_fn(|cx| self.poll(cx)).await;
            told.set(result.is_ok());
        });
        Sending {
            done,
            task: task.abort_handle(),
        }
    }
}

/// An upload that goes on while the response is read; it ends with the response.
pub(super) struct Sending {
    done: Rc<Cell<bool>>,
    task: AbortHandle,
}

impl Sending {
    /// Whether everything was sent.
    pub(super) fn is_done(&self) -> bool {
        self.done.get()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
