//! Changed inputs of the fuzzers' corpora, for a moment, with a stable compiler. `fuzz/run` looks longer, and where the code
//! has not been yet.
//!
//! The inputs are the same in each run, as far as the time goes; `KVNET_FUZZ_SECONDS=N` gives each kind of input longer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::survives::inputs::KINDS;
use kvnet_test_kit::count;

const SECONDS: f64 = 0.5;
/// Longer ones only take longer.
const LONGEST: usize = 4096;
/// What formats give a meaning to.
const WORDS: [&str; 24] = [
    "\0",
    "\n",
    "\t",
    "\r",
    "\u{1b}[2J",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "%",
    "null",
    "-1",
    "18446744073709551616",
    "1e999",
    "\u{202e}",
    "..",
];

/// Numbers that look random and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % (end.max(1) as u64)).unwrap()
    }

    /// A part of some bytes.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len());
        let length = self.below((bytes.len() - start).min(64) + 1);
        &bytes[start..start + length]
    }
}

fn changed(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = at + numbers.below((bytes.len() - at).min(32) + 1);
        match numbers.below(6) {
            0 => _ = bytes.splice(at..end, []),
            1 => _ = bytes.splice(at..end, WORDS[numbers.below(WORDS.len())].bytes()),
            2 => _ = bytes.splice(at..at, WORDS[numbers.below(WORDS.len())].bytes()),
            3 => _ = bytes.splice(at..end, numbers.part(other).to_vec()),
            4 => {
                let again = numbers.part(&bytes).to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = numbers.draw().to_le_bytes()[0];
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(kind);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_changed_input_makes_kvnet_panic() {
    let seconds = std::env::var("KVNET_FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut all = 0;
    for (kind, take) in KINDS {
        let corpus = corpus(kind);
        let (started, mut inputs) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            let (one, other) = (&corpus[numbers.below(corpus.len())], &corpus[numbers.below(corpus.len())]);
            let bytes = changed(one, other, &mut numbers);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| take(&bytes))) {
                println!("{kind}: {}", bytes.escape_ascii());
                resume_unwind(panic);
            }
            inputs += 1;
        }
        println!("{kind}: {inputs} inputs");
        all += inputs;
    }
    count::record("changed inputs of the corpora", all);
}
