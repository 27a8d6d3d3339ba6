//! Inputs that wait on disk because no machine takes them: segments of a bounded size, the oldest first.
//!
//! Nothing here is synced: what is acknowledged to whoever sent it is in the log, and the rest survives the
//! process, not the machine.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::intake::ForwardedInput;

/// Bytes that are written together.
const SEGMENT_BYTES: usize = 256 * 1024;

/// The number of the first segment; what is put in front of it counts down.
const FIRST: u64 = 1 << 32;

/// The spool of one partition.
pub(super) struct Spool {
    directory: PathBuf,
    /// Beginning of the names of its segments.
    prefix: String,
    bytes_max: u64,
    bytes: u64,
    /// Their numbers and lengths.
    segments: VecDeque<(u64, u64)>,
    /// The lowest number that was given, and the one that is given next: those that were read and are still
    /// on disk keep theirs.
    lowest: u64,
    next: u64,
    /// Bytes of the next segment.
    tail: Vec<u8>,
}

/// A segment that was read; gone once what is in it is in the log.
pub(super) struct Segment(PathBuf);

impl Segment {
    /// Removes the segment: what was in it is in the log.
    pub(super) fn remove(self) {
        fs::remove_file(&self.0).ok(); // read again it does no harm
    }
}

impl Spool {
    /// Finds what an earlier process has left; `bytes_max` is for this partition.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub(super) fn open(directory: &Path, partition: &str, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let prefix = format!("{partition}-");
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u64>().ok());
            if let Some(number) = number {
                segments.push((number, entry.metadata()?.len()));
            }
        }
        segments.sort_unstable();
        let bytes = segments.iter().map(|(_, bytes)| bytes).sum();
        let directory = directory.to_owned();
        let lowest = segments.first().map_or(FIRST, |&(first, _)| first.min(FIRST));
        let next = segments.last().map_or(FIRST, |&(last, _)| (last + 1).max(FIRST));
        let (segments, tail) = (segments.into(), Vec::new());
        Ok(Self { directory, prefix, bytes_max, bytes, segments, lowest, next, tail })
    }

    /// Returns `true` if nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.tail.is_empty()
    }

    /// Returns the number of bytes that are in it.
    pub(super) fn len_bytes(&self) -> u64 {
        self.bytes + self.tail.len() as u64
    }

    /// Adds something behind all; false if it is full.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn push(&mut self, carried: &ForwardedInput) -> io::Result<bool> {
        if self.len_bytes() + carried.len_bytes() as u64 > self.bytes_max {
            return Ok(false);
        }
        append(&mut self.tail, carried);
        if self.tail.len() >= SEGMENT_BYTES {
            self.flush()?;
        }
        Ok(true)
    }

    /// Writes what is not on disk yet.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let number = self.next;
        fs::write(self.path(number), &self.tail)?;
        let bytes = self.tail.len() as u64;
        self.next += 1;
        self.tail.clear();
        self.segments.push_back((number, bytes));
        self.bytes += bytes;
        Ok(())
    }

    /// Writes some in front of all, whatever the bound: the process ends.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn put_back<'a>(&mut self, all: impl Iterator<Item = &'a ForwardedInput>) -> io::Result<()> {
        let mut bytes = Vec::new();
        all.for_each(|carried| append(&mut bytes, carried));
        if bytes.is_empty() {
            return Ok(());
        }
        let number = self.lowest - 1;
        fs::write(self.path(number), &bytes)?;
        self.lowest = number;
        self.segments.push_front((number, bytes.len() as u64));
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Takes the oldest; with the segment that it stood in, if it was on disk.
    pub(super) fn pop(&mut self) -> Option<(Vec<ForwardedInput>, Option<Segment>)> {
        let Some((number, bytes)) = self.segments.pop_front() else {
            let tail = std::mem::take(&mut self.tail);
            return (!tail.is_empty()).then(|| (read(&tail), None));
        };
        self.bytes -= bytes;
        let path = self.path(number);
        match fs::read(&path) {
            Ok(bytes) => Some((read(&bytes), Some(Segment(path)))),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "what waited on disk cannot be read and is lost");
                self.pop()
            }
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{}{number}", self.prefix))
    }
}

fn append(out: &mut Vec<u8>, carried: &ForwardedInput) {
    let bytes = carried.write();
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// Reads a segment. The last record may have been cut off by the end of a process.
fn read(mut bytes: &[u8]) -> Vec<ForwardedInput> {
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>()
        && let Some((record, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)
    {
        bytes = rest;
        match ForwardedInput::read(record) {
            Ok(carried) => all.push(carried),
            Err(error) => tracing::error!(%error, "something that waited on disk cannot be read and is lost"),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hookswitch_model::Timestamp;
    use hookswitch_store::Sender;

    use super::*;
    use crate::intake::SwitchBatch;

    fn carried(text: &str) -> ForwardedInput {
        let sender =
            Arc::new(Sender::Switch { adapter: "ami".into(), name: "pbx".into(), account: 1, hep: None });
        let messages = vec![(Timestamp::from_micros(1), text.len())];
        ForwardedInput::Switch(SwitchBatch { sender, link: None, bytes: text.into(), messages })
    }

    fn text(carried: &ForwardedInput) -> String {
        let ForwardedInput::Switch(batch) = carried else { panic!("it was told") };
        String::from_utf8(batch.bytes.clone()).expect("it is text")
    }

    fn drain(spool: &mut Spool) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((all, segment)) = spool.pop() {
            texts.extend(all.iter().map(text));
            segment.into_iter().for_each(Segment::remove);
        }
        texts
    }

    #[test]
    fn what_waits_comes_in_its_order_also_after_a_restart_and_no_more_than_fits() {
        let directory = std::env::temp_dir().join(format!("hookswitch-spool-{}", std::process::id()));
        fs::remove_dir_all(&directory).ok();
        let open = || Spool::open(&directory, "3", 2_000_000).expect("the directory can be made");
        let mut spool = open();
        let long = |number: u32| format!("{number:06}").repeat(10_000);
        let mut accepted = Vec::new();
        for number in 0..100 {
            if spool.push(&carried(&long(number))).expect("there is a disk") {
                accepted.push(long(number));
            }
        }
        assert!((30..34).contains(&accepted.len()), "{} fit", accepted.len());
        assert!(spool.len_bytes() <= 2_000_000);
        let first = spool.pop().expect("it is not empty");
        assert_eq!(first.0.iter().map(text).collect::<Vec<_>>(), accepted[..first.0.len()]);
        spool.flush().expect("there is a disk");
        spool.put_back([carried("before")].iter()).expect("there is a disk");
        drop(spool);

        // The first segment was read and is not in the log, so that it is there again.
        let mut again = open();
        assert!(Spool::open(&directory, "4", 1).expect("it can").is_empty(), "another partition");
        let number = again.segments.front().expect("there are some").0;
        assert!(number < FIRST);
        let mut expected = accepted.clone();
        expected.push("before".into());
        let mut found = drain(&mut again);
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert!(open().is_empty(), "it is all in the log");
        fs::remove_dir_all(&directory).ok();
    }
}
