//! Inputs of a node, on their way to the machine of their partition: on this node, over NATS to another,
//! or on disk while neither takes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{AccountId, SwitchLink, Timestamp};
use hookswitch_signal::capture::Transport;
use hookswitch_signal::ingest::{IngestError, Posted};
use hookswitch_store::Sender;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Access, Frames, Item, SwitchBatch};

/// The version of the forms below: nodes of two versions hand over to each other while they are upgraded.
const VERSION: u8 = 1;

const FRAMES: u8 = 1;
const TOLD: u8 = 2;
const POSTED: u8 = 3;
/// As [`TOLD`], with the time that calls have when the connection was lost.
const TOLD_OF_LINK: u8 = 4;

/// Inputs that came in together for one partition.
pub enum ForwardedInput {
    /// Messages of capture agents.
    Frames(Frames),
    /// Reports of a switch.
    Switch(SwitchBatch),
    /// Signals that were posted, and by whom. They are acknowledged by the node that they were posted to.
    Posted(Sender, Vec<(Posted, Box<RawValue>)>),
}

/// Error of inputs that were handed over and cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardedInputError {
    #[error("form {0}, which this Hookswitch does not know; start the newer one")]
    Form(u8),
    #[error("kind {0}, which this Hookswitch does not know; start the newer one")]
    Kind(u8),
    #[error("it is damaged")]
    Damaged(#[from] postcard::Error),
    #[error("it is damaged: {0}")]
    Signal(#[from] IngestError),
    #[error("it is damaged: {0}")]
    Json(#[from] serde_json::Error),
}

/// The ranges are of the bytes behind the head.
#[derive(Serialize, Deserialize)]
struct FramesHead {
    arrival: i64,
    sources: Vec<(String, u64)>,
    items: Vec<ItemRecord>,
}

#[derive(Serialize, Deserialize)]
struct ItemRecord {
    source: u16,
    from: IpAddr,
    agent: u32,
    time: Option<i64>,
    is_tcp: bool,
    src: SocketAddr,
    dst: SocketAddr,
    /// The lengths of the correlation id and of the message, which follow each other.
    correlation: Option<u32>,
    payload: u32,
}

#[derive(Serialize, Deserialize)]
struct ToldHead {
    sender: Sender,
    link: Option<bool>,
    messages: Vec<(i64, u32)>,
}

#[derive(Serialize, Deserialize)]
struct PostedHead {
    sender: Sender,
    signals: Vec<String>,
}

impl ForwardedInput {
    /// About how many bytes it takes.
    pub(crate) fn len_bytes(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.len_bytes(),
            Self::Switch(batch) => batch.bytes.len(),
            Self::Posted(_, signals) => signals.iter().map(|(_, json)| json.get().len()).sum(),
        }
    }

    /// Returns the number of messages or signals that it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.iter().count(),
            Self::Switch(batch) => batch.messages.len(),
            Self::Posted(_, signals) => signals.len(),
        }
    }

    /// In the form in which nodes hand it over.
    pub(crate) fn write(&self) -> Vec<u8> {
        match self {
            Self::Frames(frames) => write_frames(frames),
            Self::Switch(batch) => {
                let ends = batch.messages.iter().map(|&(at, end)| (at.as_micros(), end as u32));
                let head = ToldHead {
                    sender: (*batch.sender).clone(),
                    link: batch.link.map(SwitchLink::is_up),
                    messages: ends.collect(),
                };
                let mut out = match batch.link {
                    Some(SwitchLink::Lost { lost_after }) => {
                        let millis = lost_after.map(|after| after.as_millis() as u64);
                        written(TOLD_OF_LINK, &(millis, head))
                    }
                    _ => written(TOLD, &head),
                };
                out.extend_from_slice(&batch.bytes);
                out
            }
            Self::Posted(sender, signals) => {
                let signals = signals.iter().map(|(_, json)| json.get().to_owned()).collect();
                written(POSTED, &PostedHead { sender: sender.clone(), signals })
            }
        }
    }

    /// Reads what another node, or this one before, has written.
    ///
    /// # Errors
    /// If it is damaged, or of a newer form.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ForwardedInputError> {
        let [version, kind, body @ ..] = bytes else {
            return Err(postcard::Error::DeserializeUnexpectedEnd.into());
        };
        if *version != VERSION {
            return Err(ForwardedInputError::Form(*version));
        }
        match *kind {
            FRAMES => read_frames(body),
            TOLD | TOLD_OF_LINK => {
                let (lost_after, body) = if *kind == TOLD_OF_LINK {
                    postcard::take_from_bytes::<Option<u64>>(body)?
                } else {
                    (None, body)
                };
                let (ToldHead { sender, link, messages }, bytes) = postcard::take_from_bytes(body)?;
                let lost = SwitchLink::Lost { lost_after: lost_after.map(Duration::from_millis) };
                let link = link.map(|is_up| if is_up { SwitchLink::Up } else { lost });
                let mut before = 0;
                let message = |(at, end): (i64, u32)| {
                    let end = end as usize;
                    let fits = before <= end && end <= bytes.len();
                    before = end;
                    fits.then_some((Timestamp::from_micros(at), end))
                        .ok_or(postcard::Error::DeserializeBadEncoding)
                };
                let messages = messages.into_iter().map(message).collect::<Result<_, _>>()?;
                Ok(Self::Switch(SwitchBatch {
                    sender: Arc::new(sender),
                    link,
                    bytes: bytes.to_vec(),
                    messages,
                }))
            }
            POSTED => {
                let PostedHead { sender, signals } = postcard::from_bytes(body)?;
                let signal = |json: String| {
                    let posted = Posted::parse(json.as_bytes())?;
                    Ok::<_, ForwardedInputError>((posted, RawValue::from_string(json)?))
                };
                Ok(Self::Posted(sender, signals.into_iter().map(signal).collect::<Result<_, _>>()?))
            }
            other => Err(ForwardedInputError::Kind(other)),
        }
    }
}

fn written(kind: u8, head: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(head, vec![VERSION, kind]).expect("writing to memory does not fail")
}

fn write_frames(frames: &Frames) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frames.len_bytes());
    let mut items = Vec::new();
    for (item, correlation, payload) in frames.iter() {
        items.push(ItemRecord {
            source: item.source,
            from: item.from,
            agent: item.agent,
            time: item.time.map(Timestamp::as_micros),
            is_tcp: item.transport == Transport::Tcp,
            src: item.src,
            dst: item.dst,
            correlation: correlation.map(|id| id.len() as u32),
            payload: payload.len() as u32,
        });
        bytes.extend_from_slice(correlation.unwrap_or_default());
        bytes.extend_from_slice(payload);
    }
    let sources = frames.access.sources().map(|(name, account)| (name.to_owned(), account.as_u64()));
    let head = FramesHead { arrival: frames.arrival.as_micros(), sources: sources.collect(), items };
    let mut out = written(FRAMES, &head);
    out.append(&mut bytes);
    out
}

fn read_frames(body: &[u8]) -> Result<ForwardedInput, ForwardedInputError> {
    let (FramesHead { arrival, sources, items }, mut bytes) = postcard::take_from_bytes(body)?;
    let sources = sources.into_iter().map(|(name, account)| (name, AccountId::new(account))).collect();
    let mut frames = Frames::new(Arc::new(Access::of_sources(sources)), Timestamp::from_micros(arrival));
    let mut take = |length: u32| {
        let (taken, rest) =
            bytes.split_at_checked(length as usize).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        bytes = rest;
        Ok::<_, postcard::Error>(taken)
    };
    for record in items {
        let correlation = record.correlation.map(&mut take).transpose()?;
        let payload = take(record.payload)?;
        let item = Item {
            source: record.source,
            from: record.from,
            agent: record.agent,
            time: record.time.map(Timestamp::from_micros),
            transport: if record.is_tcp { Transport::Tcp } else { Transport::Udp },
            src: record.src,
            dst: record.dst,
        };
        frames.push(item, correlation, payload);
    }
    Ok(ForwardedInput::Frames(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5060))
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let access = Access::of_sources(vec![("pbx".into(), AccountId::new(310_001_016))]);
        let mut frames = Frames::new(Arc::new(access), Timestamp::from_micros(7));
        let item = |time: Option<i64>, transport| Item {
            source: 0,
            from: address(9).ip(),
            agent: 4,
            time: time.map(Timestamp::from_micros),
            transport,
            src: address(1),
            dst: address(2),
        };
        frames.push(item(Some(5), Transport::Udp), Some(b"id"), b"INVITE");
        frames.push(item(None, Transport::Tcp), None, b"BYE");
        let written = ForwardedInput::Frames(frames).write();
        let Ok(ForwardedInput::Frames(read)) = ForwardedInput::read(&written) else {
            panic!("they are frames")
        };
        assert_eq!(read.arrival, Timestamp::from_micros(7));
        assert_eq!(read.access.source(0), Some(("pbx", AccountId::new(310_001_016))));
        let texts: Vec<_> = read
            .iter()
            .map(|(item, correlation, payload)| {
                (item.time.map(Timestamp::as_micros), item.transport, correlation, payload)
            })
            .collect();
        assert_eq!(
            texts,
            [
                (Some(5), Transport::Udp, Some(&b"id"[..]), &b"INVITE"[..]),
                (None, Transport::Tcp, None, &b"BYE"[..])
            ]
        );
        for end in 0..written.len() {
            assert!(ForwardedInput::read(&written[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_a_switch_told_is_read_as_it_was_written() {
        let sender = Sender::Switch { adapter: "ami".into(), name: "pbx".into(), account: 1, hep: None };
        let messages = vec![(Timestamp::from_micros(1), 3), (Timestamp::from_micros(2), 5)];
        let mut read = SwitchBatch {
            sender: Arc::new(sender.clone()),
            link: None,
            bytes: b"abcde".to_vec(),
            messages: messages.clone(),
        };
        let lost = |lost_after| SwitchLink::Lost { lost_after };
        for link in [None, Some(lost(None)), Some(lost(Some(Duration::from_secs(900)))), Some(SwitchLink::Up)]
        {
            let written = ForwardedInput::Switch(SwitchBatch { link, ..read }).write();
            let Ok(ForwardedInput::Switch(again)) = ForwardedInput::read(&written) else {
                panic!("it was told")
            };
            assert_eq!((&*again.sender, again.link, &*again.bytes), (&sender, link, &b"abcde"[..]));
            assert_eq!(again.messages, messages);
            read = again;
        }
        let damaged = SwitchBatch { messages: vec![(Timestamp::from_micros(1), 9)], ..read };
        assert!(
            ForwardedInput::read(&ForwardedInput::Switch(damaged).write()).is_err(),
            "it says more than there is"
        );
        assert!(matches!(ForwardedInput::read(&[9, 1]), Err(ForwardedInputError::Form(9))));
        assert!(matches!(ForwardedInput::read(&[VERSION, 9]), Err(ForwardedInputError::Kind(9))));
    }
}
