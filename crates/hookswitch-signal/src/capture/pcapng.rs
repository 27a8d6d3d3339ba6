//! The packet blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use std::io::{self, Read};

use hookswitch_model::Timestamp;
use pcap_parser::{
    InterfaceDescriptionBlock, OptionCode, PcapNGOption, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le,
};

use super::input::{Input, RECORD_BYTES_MAX};
use super::pcap::{Record, Step, link_type};
use super::warning::WarningKind;

/// The type of a section header block, a palindrome, so that it reads in either byte order.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A pcapng file, from its first block.
#[derive(Default)]
pub(super) struct PcapNg {
    big_endian: bool,
    /// The interfaces of the section, in the order of their blocks.
    interfaces: Vec<Interface>,
    /// The time of the last packet that has one; simple packets have none.
    time: Timestamp,
}

struct Interface {
    link: u16,
    /// The longest packet that is captured, in bytes; 0 is no limit.
    snaplen: u32,
    clock: Clock,
}

impl PcapNg {
    /// Steps to the next packet block, over everything else.
    #[inline]
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> io::Result<Step> {
        loop {
            input.begin_record();
            if !input.fill(BLOCK_BYTES_MIN)? {
                let left = !input.bytes().is_empty();
                return Ok(if left { Step::Broken(WarningKind::Truncated) } else { Step::End });
            }
            let Some(head) = input.array::<BLOCK_BYTES_MIN>() else {
                return Ok(Step::End);
            };
            let [t0, t1, t2, t3, l0, l1, l2, l3, b0, b1, b2, b3] = head;
            if [t0, t1, t2, t3] == SECTION_HEADER {
                self.big_endian = match [b0, b1, b2, b3] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => true,
                    [0x4d, 0x3c, 0x2b, 0x1a] => false,
                    _ => return Ok(Step::Broken(WarningKind::Block)),
                };
                self.interfaces.clear();
            }
            let kind = self.u32([t0, t1, t2, t3]);
            let claimed = self.u32([l0, l1, l2, l3]);
            let length = claimed as usize;
            if length < BLOCK_BYTES_MIN || !length.is_multiple_of(4) {
                return Ok(Step::Broken(WarningKind::Block));
            }
            if !matches!(kind, INTERFACE | ENHANCED_PACKET | SIMPLE_PACKET | PACKET) {
                if !input.skip(u64::from(claimed))? {
                    return Ok(Step::Broken(WarningKind::Truncated));
                }
                continue;
            }
            if length > RECORD_BYTES_MAX {
                return Ok(Step::Broken(WarningKind::RecordLength { claimed }));
            }
            if !input.fill(length)? {
                return Ok(Step::Broken(WarningKind::Truncated));
            }
            let step = match kind {
                INTERFACE => match self.interface(&input.bytes()[..length]) {
                    Some(interface) if self.interfaces.len() < INTERFACES_MAX => {
                        self.interfaces.push(interface);
                        input.take(length);
                        continue;
                    }
                    _ => return Ok(Step::Broken(WarningKind::Block)),
                },
                SIMPLE_PACKET => self.simple_packet(input, length),
                ENHANCED_PACKET => self.packet(input, length, 4),
                // The obsolete packet block holds the interface in 16 bits, then a drop count.
                _ => self.packet(input, length, 2),
            };
            return Ok(step);
        }
    }

    fn interface(&self, block: &[u8]) -> Option<Interface> {
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, block): (_, InterfaceDescriptionBlock<'_>) = parsed.ok()?;
        Some(Interface {
            link: link_type(block.linktype),
            snaplen: block.snaplen,
            clock: Clock::new(&block.options, self.big_endian),
        })
    }

    /// Reads an enhanced packet block, or its predecessor; they differ in the width of the
    /// interface number.
    fn packet<R: Read>(&mut self, input: &mut Input<R>, length: usize, interface_bytes: usize) -> Step {
        let head = input.array::<PACKET_HEADER_BYTES>();
        let Some(head) = head.filter(|_| length > PACKET_HEADER_BYTES) else {
            return Step::Broken(WarningKind::Block);
        };
        let word = |at: usize| self.u32([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let number = match (interface_bytes, self.big_endian) {
            (2, true) => u32::from(u16::from_be_bytes([head[8], head[9]])),
            (2, false) => u32::from(u16::from_le_bytes([head[8], head[9]])),
            _ => word(8),
        };
        let ticks = u64::from(word(12)) << 32 | u64::from(word(16));
        let captured = word(20) as usize;
        let room = length.saturating_sub(PACKET_HEADER_BYTES + 4);
        if captured > room {
            input.take(length);
            return Step::Damaged(WarningKind::PacketBlock);
        }
        let known = self.interfaces.get(number as usize).map(|interface| {
            let time = interface.clock.time(ticks);
            (interface.link, time)
        });
        let Some((link, time)) = known else {
            input.take(length);
            return Step::Damaged(WarningKind::UnknownInterface { interface: number });
        };
        self.time = time;
        input.take(PACKET_HEADER_BYTES);
        let frame = input.take(captured);
        input.take(length.saturating_sub(PACKET_HEADER_BYTES + captured));
        Step::Packet(Record { time, link, frame })
    }

    /// Reads a simple packet block: the first interface, no time, and the length as sent.
    fn simple_packet<R: Read>(&mut self, input: &mut Input<R>, length: usize) -> Step {
        let head = input.array::<SIMPLE_PACKET_HEADER_BYTES>();
        let Some(head) = head.filter(|_| length > SIMPLE_PACKET_HEADER_BYTES) else {
            return Step::Broken(WarningKind::Block);
        };
        let room = length.saturating_sub(SIMPLE_PACKET_HEADER_BYTES + 4);
        let sent = self.u32([head[8], head[9], head[10], head[11]]) as usize;
        let Some(interface) = self.interfaces.first() else {
            input.take(length);
            return Step::Damaged(WarningKind::UnknownInterface { interface: 0 });
        };
        let limit = if interface.snaplen == 0 { room } else { interface.snaplen as usize };
        let captured = sent.min(limit).min(room);
        let link = interface.link;
        input.take(SIMPLE_PACKET_HEADER_BYTES);
        let frame = input.take(captured);
        input.take(length.saturating_sub(SIMPLE_PACKET_HEADER_BYTES + captured));
        Step::Packet(Record { time: self.time, link, frame })
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// Clock of an interface: ticks of a fraction of a second, and an offset in seconds.
#[derive(Clone, Copy, Debug)]
struct Clock {
    per_second: u128,
    offset_seconds: i64,
}

impl Clock {
    fn new(options: &[PcapNGOption<'_>], big_endian: bool) -> Self {
        let mut clock = Self { per_second: 1_000_000, offset_seconds: 0 };
        for option in options {
            match (option.code, option.as_bytes().unwrap_or_default()) {
                (OptionCode::EndOfOpt, _) => break,
                // The most significant bit chooses powers of two.
                (OptionCode::IfTsresol, &[power]) => {
                    let base: u128 = if power & 0x80 == 0 { 10 } else { 2 };
                    clock.per_second = base.checked_pow(u32::from(power & 0x7f)).unwrap_or(u128::MAX);
                }
                (OptionCode::IfTsoffset, value) => {
                    if let Ok(value) = value.try_into() {
                        clock.offset_seconds =
                            if big_endian { i64::from_be_bytes(value) } else { i64::from_le_bytes(value) };
                    }
                }
                _ => {}
            }
        }
        clock
    }

    #[inline]
    fn time(self, ticks: u64) -> Timestamp {
        let micros = match self.per_second {
            1_000_000 => ticks,
            1_000_000_000 => ticks / 1000,
            per_second => {
                let micros = u128::from(ticks) * 1_000_000 / per_second;
                u64::try_from(micros).unwrap_or(u64::MAX)
            }
        };
        let offset = self.offset_seconds.saturating_mul(1_000_000);
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX).saturating_add(offset))
    }
}

/// Type, length, and the length again.
const BLOCK_BYTES_MIN: usize = 12;

/// Interfaces of one section; far more than a machine has, and little memory.
const INTERFACES_MAX: usize = 65_536;

const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type, length, interface, time in two words, captured length, sent length.
const PACKET_HEADER_BYTES: usize = 28;
/// Type, length, sent length.
const SIMPLE_PACKET_HEADER_BYTES: usize = 12;
