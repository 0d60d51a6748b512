//! HPACK's Huffman code, as far as it takes to measure a string and to see what it begins with
//! (RFC 7541, appendix B).
//!
//! The code is canonical: codes of one length follow each other, in the order of their symbols.

/// Codes of one length: bits, the first of them, and how many there are.
struct Group {
    bits: u32,
    first: u32,
    count: u32,
    /// What they stand for. Longer codes are no text that is looked for here.
    symbols: &'static [u8],
}

const fn group(bits: u32, first: u32, count: u32, symbols: &'static [u8]) -> Group {
    Group {
        bits,
        first,
        count,
        symbols,
    }
}

static GROUPS: [Group; 21] = [
    group(5, 0x0, 10, b"012aceiost"),
    group(6, 0x14, 26, b" %-./3456789=A_bdfghlmnpru"),
    group(7, 0x5c, 32, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    group(8, 0xf8, 6, b"&*,;XZ"),
    group(10, 0x3f8, 5, b"!\"()?"),
    group(11, 0x7fa, 3, b"'+|"),
    group(12, 0xffa, 2, b"#>"),
    group(13, 0x1ff8, 6, b"\0$@[]~"),
    group(14, 0x3ffc, 2, b"^}"),
    group(15, 0x7ffc, 3, b"<`{"),
    group(19, 0x7_fff0, 3, b""),
    group(20, 0xf_ffe6, 8, b""),
    group(21, 0x1f_ffdc, 13, b""),
    group(22, 0x3f_ffd2, 26, b""),
    group(23, 0x7f_ffd8, 29, b""),
    group(24, 0xff_ffea, 12, b""),
    group(25, 0x1ff_ffec, 4, b""),
    group(26, 0x3ff_ffe0, 15, b""),
    group(27, 0x7ff_ffde, 19, b""),
    group(28, 0xfff_ffe2, 29, b""),
    group(30, 0x3fff_fffc, 3, b""),
];

/// The symbols of a string; 255 for those that are no printable ASCII. What is no code ends it: the
/// library refuses such a block.
pub(super) struct Symbols<'a> {
    bytes: &'a [u8],
    /// Bits that were not used yet, from the highest on.
    window: u64,
    bits: u32,
}

/// Reads a string.
pub(super) fn symbols(bytes: &[u8]) -> Symbols<'_> {
    Symbols {
        bytes,
        window: 0,
        bits: 0,
    }
}

impl Iterator for Symbols<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        while self.bits <= 32
            && let Some((&byte, rest)) = self.bytes.split_first()
        {
            self.window |= u64::from(byte) << (56 - self.bits);
            self.bits += 8;
            self.bytes = rest;
        }
        for group in &GROUPS {
            let code = u32::try_from(self.window >> (64 - group.bits)).unwrap_or(u32::MAX);
            let place = code.wrapping_sub(group.first);
            if place < group.count {
                if group.bits > self.bits {
                    return None;
                }
                self.window <<= group.bits;
                self.bits -= group.bits;
                return Some(group.symbols.get(place as usize).copied().unwrap_or(255));
            }
        }
        None
    }
}

/// Whether a number sign may be in a string. Errs only by saying so where there is none.
pub(super) fn may_hold_number_sign(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let mut eight = [0; 8];
        let len = rest.len().min(8);
        if let (Some(into), Some(from)) = (eight.get_mut(..len), rest.get(..len)) {
            into.copy_from_slice(from);
        }
        let word = u64::from_be_bytes(eight);
        // Nine ones, then 010: its code is the first of those with twelve bits.
        let two = word & word << 1;
        let four = two & two << 2;
        let nine = four & four << 4 & word << 8;
        if nine & !(word << 9) & word << 10 & !(word << 11) != 0 {
            return true;
        }
        // A code lies across at most three bytes.
        match rest.get(6..) {
            Some(more) if rest.len() > 8 => rest = more,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for byte in text {
            let code = GROUPS.iter().find_map(|group| {
                let place = group.symbols.iter().position(|symbol| symbol == byte)?;
                Some((group.first + u32::try_from(place).unwrap(), group.bits))
            });
            let (code, len) = code.unwrap();
            bits.extend((0..len).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        bits.chunks(8).map(byte).collect()
    }

    #[test]
    fn the_code_leaves_no_gap() {
        let mut next = 0_u64;
        for group in &GROUPS {
            assert_eq!(u64::from(group.first), next >> (30 - group.bits));
            next += u64::from(group.count) << (30 - group.bits);
            assert!(group.symbols.is_empty() || group.symbols.len() == group.count as usize);
        }
        assert_eq!(next, (1 << 30) - 1, "but for the end of a string");
        let count: u32 = GROUPS.iter().map(|group| group.count).sum();
        assert_eq!(count, 256);
    }

    #[test]
    fn strings_of_the_rfc_are_read() {
        // RFC 7541, appendix C.4.1 and C.6.1.
        let host = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert!(symbols(&host).eq(*b"www.example.com"));
        assert!(symbols(&[0xae, 0xc3, 0x77, 0x1a, 0x4b]).eq(*b"private"));
        assert_eq!(symbols(&[0xff; 4]).next(), None);
    }

    #[test]
    fn a_number_sign_is_found_wherever_it_stands() {
        let fillers = [
            "",
            "/",
            "a?b",
            "/~user/(1)",
            "ooo,ww;zz&&XX",
            "x".repeat(40).leak(),
        ];
        for before in fillers {
            for after in fillers {
                let with = encode(format!("{before}#{after}").as_bytes());
                assert!(may_hold_number_sign(&with), "{before}#{after}");
                let without = encode(format!("{before}{after}").as_bytes());
                assert!(!may_hold_number_sign(&without), "{before}{after}");
            }
        }
    }
}
