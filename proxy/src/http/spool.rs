//! Request bodies that are gathered before anything is sent, so that a slow client occupies no
//! backend and a failed attempt can be repeated.
//!
//! The beginning stays in memory; what does not fit goes to a file without a name, which is gone
//! with its last reader. Files are read and written beside the worker, never on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use adit_route::FieldList;
use adit_route::policy::RequestBuffering;
use bytes::{Bytes, BytesMut};
use rustix::fs::{Mode, OFlags};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::http::body::{Body, Frame, Frames};

/// Bytes that are written to or read from a file at once.
const BLOCK: usize = 64 * 1024;

/// A body that has come as a whole.
#[derive(Debug)]
struct Spool {
    pieces: Vec<Bytes>,
    /// What follows the pieces, and how much that is.
    file: Option<(Arc<File>, u64)>,
    trailers: Option<FieldList>,
}

/// Reads a body to its end.
pub(crate) async fn gather(mut body: Body, policy: RequestBuffering) -> Result<Body, Error> {
    if body.length().is_some_and(|length| length > policy.most) {
        return Err(Error::BodyTooLarge);
    }
    let mut spool = Spool {
        pieces: Vec::new(),
        file: None,
        trailers: None,
    };
    let mut waiting = BytesMut::new();
    let (mut kept, mut total) = (0, 0);
    while let Some(frame) = body.frame().await {
        let piece = match frame? {
            Frame::Data(piece) => piece,
            Frame::Trailers(trailers) => {
                spool.trailers = Some(trailers);
                break;
            }
        };
        total += piece.len() as u64;
        if total > policy.most {
            return Err(Error::BodyTooLarge);
        }
        if total <= policy.memory {
            kept = total;
            spool.pieces.push(compact(piece));
            continue;
        }
        waiting.extend_from_slice(&piece);
        if waiting.len() >= BLOCK {
            spool.write(waiting.split().freeze()).await?;
        }
    }
    if !waiting.is_empty() {
        spool.write(waiting.freeze()).await?;
    }
    debug_assert_eq!(
        kept + spool.file.as_ref().map_or(0, |(_, size)| *size),
        total
    );
    let reader = Reader::new(Rc::new(spool));
    Ok(Body::filtered(Box::new(reader), Some(total)))
}

/// A small piece must not keep a large buffer alive.
fn compact(piece: Bytes) -> Bytes {
    const SMALL: usize = 4096;
    if piece.len() < SMALL {
        Bytes::copy_from_slice(&piece)
    } else {
        piece
    }
}

impl Spool {
    /// Adds a block to the file.
    async fn write(&mut self, block: Bytes) -> Result<(), Error> {
        let open = self.file.take();
        let size = block.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            let (file, end) = match open {
                Some(open) => open,
                None => (Arc::new(nameless()?), 0),
            };
            file.write_all_at(&block, end)?;
            Ok((file, end + size))
        });
        let written = written.await.map_err(io::Error::other).flatten();
        self.file = Some(written.map_err(Error::Spool)?);
        Ok(())
    }
}

/// A file that nobody else can open, in the directory for temporary files.
fn nameless() -> io::Result<File> {
    let directory = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(descriptor) => return Ok(File::from(descriptor)),
        // Not every file system can; there the name goes as soon as the file is open.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let path = directory.join(format!(".adit-body-{:032x}", fastrand::u128(..)));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    std::fs::remove_file(&path)?;
    Ok(File::from(descriptor))
}

/// Reads a gathered body from its beginning.
#[derive(Debug)]
struct Reader {
    spool: Rc<Spool>,
    next: usize,
    offset: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    ended: bool,
}

impl Reader {
    fn new(spool: Rc<Spool>) -> Self {
        Self {
            spool,
            next: 0,
            offset: 0,
            reading: None,
            ended: false,
        }
    }

    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some((file, size)) = &self.spool.file else {
            return Poll::Ready(None);
        };
        let left = size - self.offset;
        if left == 0 {
            return Poll::Ready(None);
        }
        let (file, offset) = (Arc::clone(file), self.offset);
        let reading = self.reading.get_or_insert_with(|| {
            let block = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            tokio::task::spawn_blocking(move || {
                let mut out = vec![0; block];
                file.read_exact_at(&mut out, offset)?;
                Ok(Bytes::from(out))
            })
        });
        let read = ready!(std::pin::Pin::new(reading).poll(cx));
        self.reading = None;
        let read = read.map_err(io::Error::other).flatten();
        if let Ok(block) = &read {
            self.offset += block.len() as u64;
        }
        Poll::Ready(Some(read))
    }
}

impl Frames for Reader {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if let Some(piece) = self.spool.pieces.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::Data(piece.clone()))));
        }
        if let Some(read) = ready!(self.poll_file(cx)) {
            return Poll::Ready(Some(read.map(Frame::Data).map_err(Error::Spool)));
        }
        let ended = std::mem::replace(&mut self.ended, true);
        let trailers = self.spool.trailers.clone().filter(|_| !ended);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))))
    }

    fn again(&self) -> Option<Box<dyn Frames>> {
        Some(Box::new(Self::new(Rc::clone(&self.spool))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(future)
    }

    async fn read(mut body: Body) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Frame::Data(data) = frame.unwrap() {
                out.extend_from_slice(&data);
            }
        }
        out
    }

    /// A body in pieces of this size.
    #[derive(Debug)]
    struct Pieces(Bytes, usize);

    impl Frames for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            let piece = self.0.split_to(self.1.min(self.0.len()));
            Poll::Ready((!piece.is_empty()).then_some(Ok(Frame::Data(piece))))
        }
    }

    #[test]
    fn a_gathered_body_can_be_read_again_and_again() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        // Bytes in memory, size of a piece.
        for (memory, piece) in [(0, 7000), (1000, 999), (100_000, 65_536), (1_000_000, 5)] {
            run(async {
                let body = Body::filtered(Box::new(Pieces(bytes.clone().into(), piece)), None);
                let policy = RequestBuffering {
                    memory,
                    most: 300_000,
                };
                let gathered = gather(body, policy).await.unwrap();
                assert_eq!(gathered.length(), Some(300_000));
                let (once, twice) = (gathered.again().unwrap(), gathered.again().unwrap());
                assert!(read(gathered).await == bytes, "{memory} {piece}");
                assert!(read(once).await == bytes && read(twice).await == bytes);
            });
        }
    }

    #[test]
    fn a_body_beyond_its_limit_is_refused_with_and_without_a_length() {
        let policy = RequestBuffering { memory: 4, most: 9 };
        for length in [None, Some(10)] {
            let body = Body::filtered(Box::new(Pieces(vec![0; 10].into(), 3)), length);
            let gathered = run(gather(body, policy));
            assert!(matches!(gathered, Err(Error::BodyTooLarge)));
        }
    }
}
