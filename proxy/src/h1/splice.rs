//! Large bodies between two bare sockets: through a pipe, in which the bytes never leave the kernel.
//!
//! Only what needs no looking at goes this way: the rest of a response of known length, in clear
//! text over HTTP/1 on both sides. What must stay true: no byte beyond the announced length enters
//! the pipe, so the backend connection is as clean afterwards as after a copied body.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use adit_sys::splice::Pipe;
use tokio::io::Interest;

use super::wire::{Wire, WireError};
use crate::error::Error;
use crate::http::body::Body;
use crate::relay::{RawSocket, poll_splice};
use crate::trail::Trail;

/// A rest shorter than this is copied: it costs less than the calls of a pipe.
pub(super) const LARGE: u64 = 64 * 1024;

/// What one response moves before the others of the worker have their turn.
const FAIR_SHARE: u64 = 2 * 1024 * 1024;

/// Empty pipes, kept for the next large body for a moment.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

impl Pipes {
    const SIZE: usize = 1024 * 1024;
    const MOST: usize = 4;

    /// A pipe, if there is one to be had.
    pub(super) fn take(&self) -> Option<Pipe> {
        let kept = self.0.borrow_mut().pop();
        kept.or_else(|| Pipe::new(Self::SIZE))
    }

    fn put(&self, pipe: Pipe) {
        let mut pipes = self.0.borrow_mut();
        if pipe.is_empty() && pipes.len() < Self::MOST {
            pipes.push(pipe);
        }
    }

    /// Gives the kernel its memory back.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Sends the rest of a body, `left` bytes, to a client.
pub(super) async fn send(
    wire: &Wire,
    body: &mut Body,
    mut pipe: Pipe,
    mut left: u64,
    pipes: &Pipes,
    trail: &mut Trail,
) -> Result<(), Error> {
    let mut share = FAIR_SHARE;
    while left > 0 {
        let moved = poll_fn(|cx| match body.poll_splice(cx, &mut pipe) {
            Poll::Pending => wire.poll_gone(cx).map(|()| Err(Error::ClientGone)),
            moved @ Poll::Ready(_) => moved,
        })
        .await?;
        let sent = wire.write_from(&mut pipe).await;
        sent.map_err(|error| Error::from_client(&error))?;
        left = left.checked_sub(moved).ok_or(Error::Truncated)?;
        trail.sent(moved);
        share = share.saturating_sub(moved);
        if share == 0 {
            share = FAIR_SHARE;
            tokio::task::yield_now().await;
        }
    }
    pipes.put(pipe);
    Ok(())
}

impl Wire {
    /// Whether the bytes of this connection are those of its socket.
    pub(super) fn is_bare(&self) -> bool {
        self.with_stream(|stream| stream.tcp().is_some())
    }

    /// Moves what has come of the current body into an empty pipe.
    pub(super) fn poll_body_into(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<u64, WireError>> {
        let left = self.body.borrow().left();
        let polled = self.with_stream(|stream| match stream.tcp() {
            Some(socket) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                poll_splice(cx, socket, Interest::READABLE, || {
                    pipe.splice_in(socket, most)
                })
            }
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        });
        match polled {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(WireError::Closed)),
            Poll::Ready(Ok(moved)) => {
                self.body.borrow_mut().passed(moved as u64);
                self.stop_waiting();
                Poll::Ready(Ok(moved as u64))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => self.poll_waiting(cx),
        }
    }

    /// Writes everything in the pipe.
    async fn write_from(&self, pipe: &mut Pipe) -> Result<(), WireError> {
        let mut left = usize::MAX;
        poll_fn(|cx| match self.poll_write_from(cx, pipe) {
            Poll::Pending => self.poll_stalled(cx, &mut left, pipe.len()),
            Poll::Ready(written) => Poll::Ready(written.map_err(WireError::from)),
        })
        .await
    }

    fn poll_write_from(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<()>> {
        self.with_stream(|stream| {
            let Some(socket) = stream.tcp() else {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            };
            while !pipe.is_empty() {
                let moved = ready!(poll_splice(cx, socket, Interest::WRITABLE, || {
                    pipe.splice_out(socket)
                }))?;
                if moved == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}
