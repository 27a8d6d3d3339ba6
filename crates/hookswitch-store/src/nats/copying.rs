//! Writes the rows of another store into streams that are new.

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;

use super::streams::{Nats, PART, STREAM_DOCUMENTS, STREAM_LOG};
use super::wire::{EVENT_BITS, read_part, write_rows};
use crate::copy::{Come, Phase};
use crate::partition::Partition;
use crate::rows::Rows;

/// The header that says of which copy a message is, and how far that has come before it and with it.
const COPY: &str = "Hookswitch-Copy";

/// Number of messages without content that are sent before the first is acknowledged.
const AHEAD: u64 = 256;

/// A copy into streams.
pub(crate) struct CopyInto {
    nats: Nats,
    id: String,
    /// The last message of the documents, and of the log.
    documents: u64,
    log: u64,
}

impl CopyInto {
    /// Takes up a copy, or begins it if the streams are new; says how far it has come.
    ///
    /// # Errors
    /// If the streams have something else, or cannot be read.
    pub(crate) async fn begin(nats: Nats, id: String) -> anyhow::Result<(Self, Come)> {
        let [documents, log] = [nats.end(STREAM_DOCUMENTS).await?, nats.end(STREAM_LOG).await?];
        let mut come = Come::NOTHING;
        for (stream, subject, end) in [
            (STREAM_DOCUMENTS, nats.documents_subject(), documents),
            (STREAM_LOG, nats.log_subject(Partition::default()), log),
        ] {
            if end == 0 {
                continue;
            }
            let last = nats.stream(stream).await?.get_last_raw_message_by_subject(&subject).await;
            let last = last.ok().filter(|last| last.sequence == end);
            let header = |name| {
                let last = last.as_ref()?;
                Some(last.headers.get(name)?.as_str())
            };
            let Some(of) = header(COPY) else {
                bail!(
                    "the log {:?} in NATS has a store already; set nats.prefix of --to to a name of its own",
                    nats.prefix()
                );
            };
            let (of, from, until) = read_copy(of).context("a message of a copy cannot be read")?;
            ensure!(
                of == id,
                "the log {:?} in NATS has a part of a copy of another store, or of this one before it changed; delete its \
                 streams, or set nats.prefix of --to to a name of its own",
                nats.prefix()
            );
            let (number, count) =
                read_part(header(PART)).context("a part of a message does not say which")?;
            // A message that is not whole is passed over by who reads it, and written again.
            come = if number == count { until } else { from };
        }
        Ok((Self { nats, id, documents, log }, come))
    }

    /// Writes some rows.
    pub(crate) async fn write(&mut self, from: Come, come: Come, rows: &Rows) -> anyhow::Result<()> {
        let (subject, last) = match come.phase {
            Phase::Documents => (self.nats.documents_subject(), &mut self.documents),
            _ => (self.nats.log_subject(Partition::default()), &mut self.log),
        };
        let header = write_copy(&self.id, from, come);
        let written =
            self.nats.publish_marked(&subject, write_rows(rows), Some(*last), Some((COPY, &header)));
        *last = written.await.context("NATS does not take the copy; start it again when it does")?;
        Ok(())
    }

    /// Begins to write some rows as a message of two parts, and does not come to the second.
    #[cfg(test)]
    pub(crate) async fn write_half(&self, from: Come, come: Come, rows: &Rows) {
        let mut message = write_rows(rows);
        message.truncate(message.len() / 2);
        let (subject, header) = (self.nats.documents_subject(), write_copy(&self.id, from, come));
        let (last, mark) = (Some(self.documents), Some((COPY, &*header)));
        let sent = self.nats.send_part(&subject, message.into(), (1, 2, "half"), last, mark).await;
        sent.expect("it is sent").await.expect("it is taken");
    }

    /// Lets the log come so far that events which are written later stand behind this position.
    ///
    /// # Errors
    /// If NATS does not take it, or another copy writes beside this one.
    pub(crate) async fn reach(&mut self, events: u64) -> anyhow::Result<()> {
        let subject = self.nats.log_subject(Partition::default());
        let header = write_copy(&self.id, Come::BEFORE_LAST, Come::BEFORE_LAST);
        let nothing = write_rows(&Rows::default());
        while self.log < events >> EVENT_BITS {
            let until = (self.log + AHEAD).min(events >> EVENT_BITS);
            let mut waiting = Vec::new();
            for _ in self.log..until {
                // None says where it is expected: of those that are under way at once, a server of a cluster
                // would take the first alone.
                let message = nothing.clone().into();
                let sent = self.nats.send_part(&subject, message, (1, 1, ""), None, Some((COPY, &header)));
                waiting.push(std::future::IntoFuture::into_future(sent.await?));
            }
            let taken = try_join_all(waiting)
                .await
                .context("NATS does not take the copy; start it again when it does")?;
            ensure!(
                taken.iter().map(|taken| taken.sequence).eq(self.log + 1..=until),
                "another writes to the log {:?} in NATS beside this copy; stop it, and start this again",
                self.nats.prefix()
            );
            self.log = until;
        }
        Ok(())
    }
}

impl Nats {
    /// Returns whether a copy into the streams was begun and not ended.
    ///
    /// # Errors
    /// A sentence that says so, or if NATS does not answer.
    pub async fn check_copied(&self) -> anyhow::Result<()> {
        for stream in [STREAM_LOG, STREAM_DOCUMENTS] {
            let end = self.end(stream).await?;
            if end == 0 {
                continue; // of a copy the documents come first
            }
            let last = self.stream(stream).await?.get_raw_message(end).await.ok();
            let of = last.as_ref().and_then(|last| last.headers.get(COPY));
            let until = of.and_then(|of| read_copy(of.as_str())).map(|(.., until)| until);
            ensure!(
                until.is_none_or(|until| until.phase == Phase::Last),
                "the log {:?} in NATS has a part of a copy; give `hookswitch store copy` once more, or delete its streams",
                self.prefix()
            );
            return Ok(());
        }
        Ok(())
    }
}

fn write_copy(id: &str, from: Come, come: Come) -> String {
    format!("{id} {} {} {} {}", from.phase, from.until, come.phase, come.until)
}

fn read_copy(text: &str) -> Option<(&str, Come, Come)> {
    let mut words = text.split(' ');
    let id = words.next()?;
    let mut come = || {
        let phase = words.next()?.parse().ok()?;
        Some(Come { phase, until: words.next()?.parse().ok()? })
    };
    Some((id, come()?, come()?))
}
