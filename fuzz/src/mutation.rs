//! Inputs made from other inputs.
//!
//! Mutations know nothing of coverage: they are for every run of the tests, on any compiler.
//! The same seed makes the same inputs. What must stay true: an input never grows beyond
//! [`LONGEST`], so that a run takes a known time.

use fastrand::Rng;

/// The longest input that is made.
pub const LONGEST: usize = 64 * 1024;

/// Bytes at which readers turn.
const TURNS: &[u8] = b"\0\t\n\r \"%,-./0:;=@A[\\]_az{|}~\x7f\x80\xff";

/// Makes inputs from a corpus and the words of a language.
#[derive(Debug)]
pub struct Mutator<'a> {
    random: Rng,
    corpus: &'a [Vec<u8>],
    words: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    /// A maker of inputs; `corpus` must not be empty.
    pub fn new(seed: u64, corpus: &'a [Vec<u8>], words: &'a [&'a [u8]]) -> Self {
        assert!(!corpus.is_empty(), "a corpus has at least one input");
        Self {
            random: Rng::with_seed(seed),
            corpus,
            words,
        }
    }

    /// The next input: one of the corpus with one to eight changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick().to_vec();
        // Most broken inputs are one step away from a good one.
        let steps = 1 << self.random.u32(..4);
        for _ in 0..self.random.u32(1..=steps) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn pick(&mut self) -> &'a [u8] {
        &self.corpus[self.random.usize(..self.corpus.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(..=input.len());
        let end = (at + self.random.usize(..=16)).min(input.len());
        match self.random.u8(..10) {
            0 if at < input.len() => input[at] ^= 1 << self.random.u32(..8),
            1 if at < input.len() => input[at] = self.random.u8(..),
            2 if at < input.len() => input[at] = *self.random.choice(TURNS).unwrap(),
            3 => input.insert(at, *self.random.choice(TURNS).unwrap()),
            4 => drop(input.drain(at..end)),
            5 => self.repeat(input, at, end),
            6 => input.truncate(at),
            7 => {
                let other = self.pick();
                let from = self.random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => match self.random.choice(self.words) {
                Some(word) if self.random.bool() => drop(input.splice(at..end, word.to_vec())),
                Some(word) => drop(input.splice(at..at, word.to_vec())),
                None => input.insert(at, self.random.u8(..)),
            },
        }
    }

    fn repeat(&mut self, input: &mut Vec<u8>, at: usize, end: usize) {
        let piece = input[at..end].to_vec();
        // Rarely so often that a limit is met.
        let times = if self.random.u8(..32) == 0 { 2000 } else { 2 };
        let room = LONGEST.saturating_sub(input.len());
        let times = times.min(room / piece.len().max(1));
        drop(input.splice(at..at, piece.repeat(times)));
    }
}
