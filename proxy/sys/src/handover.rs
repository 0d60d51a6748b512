//! Passing open sockets to another process of ours over a UNIX stream socket.
//!
//! A message is a fixed head (length of the payload and number of descriptors), the descriptors in
//! batches, each attached to one byte, and the payload. The kernel takes at most 253 descriptors at
//! once; a process with many reuseport sockets has more. Whatever goes wrong on the way, descriptors
//! that have arrived are closed and none stays in the air.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The longest payload that is taken.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// Descriptors of one system call (`SCM_MAX_FD` of Linux).
const BATCH: usize = 253;
const SPACE: usize = cmsg_space!(ScmRights(BATCH));
const HEAD: usize = 8;

/// Sends the payload and duplicates of the descriptors. Waits as long as the stream's write timeout
/// says.
pub fn send_fds(
    stream: &UnixStream,
    descriptors: &[BorrowedFd<'_>],
    payload: &[u8],
) -> io::Result<()> {
    if payload.len() > MAX_PAYLOAD {
        return Err(invalid("the payload is too long"));
    }
    let count = u32::try_from(descriptors.len()).map_err(|_| invalid("too many descriptors"))?;
    let mut head = [0; HEAD];
    let (length, number) = head.split_at_mut(HEAD / 2);
    length.copy_from_slice(&(payload.len() as u32).to_be_bytes());
    number.copy_from_slice(&count.to_be_bytes());
    let mut writer = stream;
    writer.write_all(&head)?;
    for batch in descriptors.chunks(BATCH) {
        send_batch(stream, batch)?;
    }
    writer.write_all(payload)
}

/// Receives what [`send_fds`] sent, but no more than `max` descriptors. They are closed on exec.
/// Waits as long as the stream's read timeout says.
pub fn recv_fds(stream: &UnixStream, max: usize) -> io::Result<(Vec<OwnedFd>, Vec<u8>)> {
    let mut reader = stream;
    let mut length = [0; HEAD / 2];
    let mut number = [0; HEAD / 2];
    reader.read_exact(&mut length)?;
    reader.read_exact(&mut number)?;
    let length = u32::from_be_bytes(length) as usize;
    let number = u32::from_be_bytes(number) as usize;
    if length > MAX_PAYLOAD {
        return Err(invalid("the payload is too long"));
    }
    if number > max {
        return Err(invalid("too many descriptors"));
    }
    let mut descriptors = Vec::with_capacity(number);
    while descriptors.len() < number {
        let expected = (number - descriptors.len()).min(BATCH);
        receive_batch(stream, expected, &mut descriptors)?;
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    Ok((descriptors, payload))
}

fn send_batch(stream: &UnixStream, batch: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(batch)) {
        return Err(invalid("too many descriptors"));
    }
    // Descriptors travel only with at least one byte.
    let carrier = [IoSlice::new(&[0])];
    loop {
        match rustix::net::sendmsg(stream, &carrier, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive_batch(
    stream: &UnixStream,
    expected: usize,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut carrier = [0];
    let mut parts = [IoSliceMut::new(&mut carrier)];
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(stream, &mut parts, &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let before = descriptors.len();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(batch) = message {
            descriptors.extend(batch);
        }
    }
    // The kernel cuts a batch short when the process may not open more.
    if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() - before != expected {
        return Err(io::Error::other(
            "not all descriptors arrived; is the descriptor limit too low?",
        ));
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    fn exchange(descriptors: &[BorrowedFd<'_>], payload: &[u8]) -> (Vec<OwnedFd>, Vec<u8>) {
        let (old, new) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| send_fds(&old, descriptors, payload));
            let received = recv_fds(&new, 1000).unwrap();
            sender.join().unwrap().unwrap();
            received
        })
    }

    #[test]
    fn a_listener_goes_on_accepting_in_other_hands() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mut descriptors, payload) = exchange(&[listener.as_fd()], b"which is which");
        drop(listener);
        assert_eq!(payload, b"which is which");
        let client = TcpStream::connect(address).unwrap();
        let adopted = TcpListener::from(descriptors.remove(0));
        let (_, peer) = adopted.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let flags = rustix::io::fcntl_getfd(&adopted).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn more_descriptors_than_one_call_takes_arrive_in_order() {
        for count in [0, 1, 252, 253, 254, 600] {
            let sockets: Vec<TcpListener> = (0..3)
                .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
                .collect();
            let sent: Vec<BorrowedFd<'_>> = sockets
                .iter()
                .cycle()
                .take(count)
                .map(|socket| socket.as_fd())
                .collect();
            let payload = vec![count as u8; MAX_PAYLOAD / 2];
            let (received, text) = exchange(&sent, &payload);
            assert_eq!(received.len(), count);
            assert!(text == payload);
            for (place, descriptor) in received.into_iter().enumerate() {
                let expected = sockets[place % 3].local_addr().unwrap();
                assert_eq!(
                    TcpListener::from(descriptor).local_addr().unwrap(),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_message_that_is_cut_or_too_large_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (old, new) = UnixStream::pair().unwrap();
        let two = [listener.as_fd(), listener.as_fd()];
        send_fds(&old, &two, b"x").unwrap();
        assert_eq!(
            recv_fds(&new, 1).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert!(send_fds(&old, &[], &vec![0; MAX_PAYLOAD + 1]).is_err());

        let heads: [&[u8]; 4] = [
            b"\0\0\0\x01\0",
            b"\0\0\0\x01\0\0\0\0",
            b"\0\0\0\0\0\0\0\x01",
            b"\xFF\0\0\0\0\0\0\0",
        ];
        for head in heads {
            let (mut old, new) = UnixStream::pair().unwrap();
            old.write_all(head).unwrap();
            drop(old);
            assert!(recv_fds(&new, 10).is_err(), "{head:?}");
        }
        // A byte where descriptors should come, but without them.
        let (mut old, new) = UnixStream::pair().unwrap();
        old.write_all(b"\0\0\0\0\0\0\0\x01\0").unwrap();
        assert!(recv_fds(&new, 10).is_err());
    }
}
