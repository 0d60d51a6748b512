//! The three encodings behind one face: bytes in, bytes out, flushed when the source pauses.

use std::io::{self, Write as _};

use adit_route::policy::Compression;
use bytes::Bytes;
use flate2::write::GzEncoder;
use zstd::stream::raw::CParameter;

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// As it is called in fields.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// Window of brotli and zstd as a power of two: half a megabyte each, since every response that is
/// under way has its own.
const WINDOW: u32 = 19;

/// An encoder at work.
pub(super) enum Coder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Coder {
    pub(super) fn new(coding: Coding, policy: &Compression) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => {
                let level = policy.zstd.unwrap_or_default();
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW))?;
                Self::Zstd(encoder)
            }
            Coding::Brotli => {
                const BUFFER: usize = 4096;
                let level = policy.brotli.unwrap_or_default();
                let writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, level, WINDOW);
                Self::Brotli(Box::new(writer))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(policy.gzip.unwrap_or_default());
                Self::Gzip(GzEncoder::new(Vec::new(), level))
            }
        })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(data),
            Self::Brotli(encoder) => encoder.write_all(data),
            Self::Gzip(encoder) => encoder.write_all(data),
        }
    }

    /// Lets out everything that went in.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come out.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(self.output()).into()
    }

    /// How much has come out.
    pub(super) fn ready(&mut self) -> usize {
        self.output().len()
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }

    /// Ends the encoding: what is left of it.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Zstd(encoder) => encoder.finish()?.into(),
            Self::Brotli(encoder) => encoder.into_inner().into(),
            Self::Gzip(encoder) => encoder.finish()?.into(),
        })
    }
}
