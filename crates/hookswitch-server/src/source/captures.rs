//! Capture files, read side by side in the order of time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hookswitch_model::InputRef;
use hookswitch_signal::capture::{Captured, Counters, Reader, Unread};
use indicatif::{ProgressBar, ProgressStyle};

use super::compressed::{Damage, Decompressed};

/// The most capture files that can be read at once; each is numbered in 16 bits.
const FILES_MAX: usize = u16::MAX as usize;

/// Several capture files, merged by time; messages of the same time in the order of the files.
pub struct CaptureFiles {
    files: Vec<OpenFile>,
    /// The file whose message was taken last.
    current: Option<usize>,
    progress: ProgressBar,
}

struct OpenFile {
    name: String,
    reader: Reader<Decompressed>,
    /// Damage of the file's compression, once it was found.
    damage: Damage,
    /// Counts the messages that were taken.
    taken: u64,
    /// Set if `reader` stands on a message.
    ready: bool,
}

impl CaptureFiles {
    /// Opens all files; `-` is standard input.
    pub fn open(paths: &[PathBuf], show_progress: bool) -> anyhow::Result<Self> {
        anyhow::ensure!(
            paths.len() <= FILES_MAX,
            "{} files are too many; name {FILES_MAX} at most, or merge them first",
            paths.len()
        );
        let progress = if show_progress { progress_bar(paths) } else { ProgressBar::hidden() };
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            files.push(OpenFile::new(path.display().to_string(), open(path)?, &progress)?);
        }
        Ok(Self { files, current: None, progress })
    }

    /// Captures that are in memory, by their names.
    pub fn in_memory(captures: impl IntoIterator<Item = (String, Vec<u8>)>) -> anyhow::Result<Self> {
        let progress = ProgressBar::hidden();
        let files = captures
            .into_iter()
            .map(|(name, bytes)| OpenFile::new(name, Box::new(io::Cursor::new(bytes)), &progress));
        Ok(Self { files: files.collect::<anyhow::Result<_>>()?, current: None, progress })
    }

    /// Steps to the earliest message that is left; none at the end.
    ///
    /// # Errors
    /// If a file cannot be read.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> anyhow::Result<Option<(Captured<'_>, InputRef)>> {
        if let Some(current) = self.current.take() {
            self.files[current].advance()?;
        }
        let earliest = match &*self.files {
            [only] => only.ready.then_some(0),
            files => files
                .iter()
                .enumerate()
                .filter_map(|(index, file)| Some((file.reader.current().filter(|_| file.ready)?.time, index)))
                .min()
                .map(|(_, index)| index),
        };
        let Some(index) = earliest else { return Ok(None) };
        self.current = Some(index);
        let file = &mut self.files[index];
        file.taken += 1;
        let input = InputRef { source: index as u16, number: file.taken };
        Ok(file.reader.current().map(|captured| (captured, input)))
    }

    /// Returns `true` if one of the files is what a switch has said of itself.
    pub fn has_manager(&self) -> bool {
        self.files.iter().any(|file| file.reader.is_transcript())
    }

    /// Packets, frames or lines that were read.
    pub fn packets(&self) -> u64 {
        self.files.iter().map(|file| file.reader.counters().packets).sum()
    }

    /// Returns what was counted of each file.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.files.iter().map(|file| file.reader.counters())
    }

    /// Returns what the files hold and nobody has looked into, and how often.
    pub fn unread(&self) -> Vec<(Unread, u64)> {
        let mut sums: Vec<(Unread, u64)> = Vec::new();
        for (kind, count) in self.files.iter().flat_map(|file| file.reader.unread()) {
            match sums.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, sum)) => *sum += count,
                None => sums.push((kind, count)),
            }
        }
        sums
    }

    /// The names of the files, in the order of the arguments.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Returns what was wrong with the files, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let of = |file: &OpenFile| {
            let warnings = file.reader.warnings().iter().map(ToString::to_string);
            let warnings = warnings.chain(file.damage.get().cloned());
            warnings.map(|warning| format!("{}: {warning}", file.name)).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of).collect()
    }

    /// Takes the progress bar away.
    pub fn done(&self) {
        self.progress.finish_and_clear();
    }
}

impl OpenFile {
    /// Steps to the first message.
    fn new(name: String, input: Box<dyn Read + Send>, progress: &ProgressBar) -> anyhow::Result<Self> {
        let input = Decompressed::of(Watched { input, progress: progress.clone() });
        let input = input.with_context(|| format!("read {name}"))?;
        let damage = input.damage();
        let reader = Reader::new(input).map_err(|error| match damage.get() {
            Some(damage) => anyhow::anyhow!("{damage}"),
            None => anyhow::Error::from(error),
        });
        let reader = reader.with_context(|| format!("read {name}"))?;
        let mut file = Self { name, reader, damage, taken: 0, ready: false };
        file.advance()?;
        Ok(file)
    }

    fn advance(&mut self) -> anyhow::Result<()> {
        self.ready = self.reader.advance().with_context(|| format!("read {}", self.name))?;
        Ok(())
    }
}

/// An input that moves the progress bar.
struct Watched {
    input: Box<dyn Read + Send>,
    progress: ProgressBar,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.inc(read as u64);
        Ok(read)
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let name = path.display();
    let file = File::open(path)
        .with_context(|| format!("cannot open {name}; name a capture file that can be read"))?;
    let kind = file.metadata().with_context(|| format!("cannot open {name}"))?;
    anyhow::ensure!(!kind.is_dir(), "{name} is a folder; name the capture files in it");
    Ok(Box::new(file))
}

fn progress_bar(paths: &[PathBuf]) -> ProgressBar {
    let bytes = paths.iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}
