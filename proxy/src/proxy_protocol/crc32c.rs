//! CRC-32C (Castagnoli), as the PROXY protocol uses it (P-12).
//!
//! A header is at most 2 KiB and few senders add a checksum, so one table of 256 words is enough.

/// Reflected form of the polynomial 0x1EDC6F41.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which checks the bounds"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
            remainder = (remainder >> 1) ^ carry;
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
}

/// The checksum of all bytes in order.
pub(super) fn checksum<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    let remainder = bytes.into_iter().fold(u32::MAX, |remainder, &byte| {
        let index = (remainder ^ u32::from(byte)) & 0xFF;
        (remainder >> 8) ^ TABLE.get(index as usize).copied().unwrap_or_default()
    });
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums_come_out() {
        // RFC 3720, appendix B.4, and the usual check value of the algorithm.
        let ascending: Vec<u8> = (0..32).collect();
        let table: [(&[u8], u32); 5] = [
            (b"", 0),
            (b"123456789", 0xE306_9283),
            (&[0; 32], 0x8A91_36AA),
            (&[0xFF; 32], 0x62A8_AB43),
            (&ascending, 0x46DD_794E),
        ];
        for (bytes, expected) in table {
            assert_eq!(checksum(bytes), expected, "{bytes:02x?}");
        }
    }
}
