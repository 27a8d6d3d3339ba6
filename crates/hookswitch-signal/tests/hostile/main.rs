//! Tests of what nobody should send: nothing panics, and what can be read is read.
//!
//! Where a test has a number of cases it takes few by default, and all of them when the environment
//! says `HOOKSWITCH_TEST_SIZE=full`, as `make robustness` does. The figures are printed.

#![expect(clippy::disallowed_macros, reason = "what was measured is printed")]
#![expect(clippy::disallowed_methods, reason = "the environment says how much is tried")]

mod anomalies;
mod frames;
mod messages;
mod random;
#[expect(unreachable_pub, reason = "the fuzz targets use it")]
mod reference;
mod streams;
mod touch;

/// Returns the number of cases that a test takes.
fn size(few: usize, full: usize) -> usize {
    if std::env::var_os("HOOKSWITCH_TEST_SIZE").is_some_and(|size| size == "full") { full } else { few }
}

/// Numbers that look random, and are the same in every run.
struct Numbers(u64);

impl Numbers {
    /// The next number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

#[test]
fn every_message_of_the_captures_is_read_as_line_by_line() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
    let mut messages = 0;
    for file in std::fs::read_dir(folder).expect("the captures are there") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("it can be read");
        let mut reader = hookswitch_signal::capture::Reader::new(&*bytes).expect("a capture");
        while reader.advance().expect("memory can be read") {
            reference::compare(reader.current().expect("there is one").payload);
            messages += 1;
        }
    }
    assert!(messages > 50, "{messages} messages");
}
