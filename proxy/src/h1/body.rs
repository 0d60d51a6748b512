//! Where a body ends, decoded as bytes arrive.

use adit_route::FieldList;
use bytes::{Bytes, BytesMut};

use super::chunked::{ChunkedDecoder, Decoded};
use super::head::BodyLength;
use super::violation::Violation;
use crate::limits::Limits;

/// The decoder of one body.
#[derive(Debug, Default)]
pub(crate) enum BodyDecoder {
    /// Complete, or there was none.
    #[default]
    Done,
    /// This many bytes are missing.
    Length(u64),
    /// Chunked coding.
    Chunked(ChunkedDecoder),
    /// Until the peer closes.
    UntilClose,
}

/// What came out of the bytes so far.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More input is needed.
    NeedMore,
    /// A piece of the body.
    Data(Bytes),
    /// The body is complete.
    End(Option<FieldList>),
}

impl BodyDecoder {
    pub(crate) fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::None | BodyLength::Exact(0) => Self::Done,
            BodyLength::Exact(length) => Self::Length(length),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::default()),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Takes what it can from the front of `input`.
    pub(crate) fn decode(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Piece, Violation> {
        match self {
            Self::Done => Ok(Piece::End(None)),
            Self::UntilClose | Self::Length(_) if input.is_empty() => Ok(Piece::NeedMore),
            Self::UntilClose => Ok(Piece::Data(input.split().freeze())),
            Self::Length(left) => {
                let available = input.len() as u64;
                let take = available.min(*left);
                *left -= take;
                if *left == 0 {
                    *self = Self::Done;
                }
                let data = input.split_to(usize::try_from(take).unwrap_or(input.len()));
                Ok(Piece::Data(data.freeze()))
            }
            Self::Chunked(decoder) => match decoder.decode(input, limits)? {
                Decoded::NeedMore => Ok(Piece::NeedMore),
                Decoded::Data(data) => Ok(Piece::Data(data)),
                Decoded::End(trailers) => {
                    *self = Self::Done;
                    Ok(Piece::End(trailers))
                }
            },
        }
    }

    /// The peer has closed: whether that is the proper end of this body.
    pub(crate) fn end_by_close(&mut self) -> bool {
        let proper = matches!(self, Self::UntilClose | Self::Done);
        if proper {
            *self = Self::Done;
        }
        proper
    }

    /// How much is missing of a body of known length.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            _ => 0,
        }
    }

    /// So much of a body of known length has gone another way.
    pub(crate) fn passed(&mut self, bytes: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                *self = Self::Done;
            }
        }
    }

    /// Whether the body has been read to its end.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}
