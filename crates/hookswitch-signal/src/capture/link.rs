//! The way from a captured frame to its IP packet.

/// Contents of a link type's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ip<'a> {
    /// An IP packet of either version, perhaps with padding behind it.
    Packet(&'a [u8]),
    /// Something that is not IP, by its EtherType if it has one.
    Other(Option<u16>),
    /// The frame ends inside its headers.
    Cut,
    /// The link type is not understood.
    Unsupported,
}

/// Skips the link layer. `link` is a `LINKTYPE_` number,
/// see <https://www.tcpdump.org/linktypes.html>.
#[inline]
pub(super) fn ip(link: u16, frame: &[u8]) -> Ip<'_> {
    match link {
        ETHERNET => ethernet(frame),
        LINUX_SLL => ethertype(frame, 14, PSEUDOWIRES_MAX),
        LINUX_SLL2 => match frame {
            [p0, p1, ..] => {
                frame.get(20..).map_or(Ip::Cut, |rest| behind(u16::from_be_bytes([*p0, *p1]), rest))
            }
            _ => Ip::Cut,
        },
        RAW | RAW_BSD | RAW_OPENBSD | IPV4 | IPV6 => Ip::Packet(frame),
        NULL | LOOP => match frame.split_first_chunk() {
            // NULL is in the byte order of the machine that captured.
            Some((family, packet)) => {
                let families = [u32::from_le_bytes(*family), u32::from_be_bytes(*family)];
                let is_ip = families.iter().any(|family| IP_FAMILIES.contains(family));
                if is_ip { Ip::Packet(packet) } else { Ip::Other(None) }
            }
            None => Ip::Cut,
        },
        _ => Ip::Unsupported,
    }
}

/// Skips the header of an Ethernet frame.
#[inline]
pub(super) fn ethernet(frame: &[u8]) -> Ip<'_> {
    ethertype(frame, 12, PSEUDOWIRES_MAX)
}

/// Finds the packet in what an EtherType announces.
#[inline]
pub(super) fn behind(ethertype: u16, rest: &[u8]) -> Ip<'_> {
    untagged(ethertype, rest, PSEUDOWIRES_MAX)
}

fn ethertype(frame: &[u8], at: usize, wires: usize) -> Ip<'_> {
    match frame.get(at..) {
        Some([t0, t1, rest @ ..]) => untagged(u16::from_be_bytes([*t0, *t1]), rest, wires),
        _ => Ip::Cut,
    }
}

/// Steps over tags, one or several: of VLANs (IEEE 802.1Q, 802.1ad), and those by which the ports of a virtual
/// switch are told apart (VN-Tag; E-Tag, IEEE 802.1BR). Each ends with the EtherType of what follows.
fn untagged(mut ethertype: u16, mut rest: &[u8], wires: usize) -> Ip<'_> {
    for _ in 0..=TAGS_MAX {
        let tag_bytes = match ethertype {
            0x0800 | 0x86dd => return Ip::Packet(rest),
            0x8100 | 0x88a8 | 0x9100 => 2,
            0x8926 => 4,
            0x893f => 6,
            0x8864 => return pppoe(rest),
            0x8847 | 0x8848 => return mpls(rest, wires),
            // Below, the field is a length (IEEE 802.3).
            0x0600.. => return Ip::Other(Some(ethertype)),
            _ => return Ip::Other(None),
        };
        let Some([t0, t1, inner @ ..]) = rest.get(tag_bytes..) else { return Ip::Cut };
        ethertype = u16::from_be_bytes([*t0, *t1]);
        rest = inner;
    }
    Ip::Other(Some(ethertype))
}

/// The packet of a PPPoE session (RFC 2516 §4) and of PPP in it (RFC 1661 §2).
fn pppoe(session: &[u8]) -> Ip<'_> {
    match session {
        [0x11, 0, _, _, _, _, 0x00, 0x21 | 0x57, packet @ ..]
        | [0x11, 0, _, _, _, _, 0x21 | 0x57, packet @ ..] => Ip::Packet(packet),
        [_, _, _, _, _, _, _, _, ..] => Ip::Other(None),
        _ => Ip::Cut,
    }
}

/// The packet behind MPLS labels (RFC 3032 §2.1), where it shows that it is IP, or is in an Ethernet frame (RFC
/// 4448 §4.6), with a control word before it or without.
fn mpls(mut labels: &[u8], wires: usize) -> Ip<'_> {
    for _ in 0..MPLS_LABELS_MAX {
        let [_, _, last, _, rest @ ..] = labels else { return Ip::Cut };
        labels = rest;
        if last & 1 == 1 {
            if is_ip(labels) {
                return Ip::Packet(labels);
            }
            let Some(wires) = wires.checked_sub(1) else { break };
            let control_word = labels.first().filter(|&&byte| byte >> 4 == 0).and_then(|_| labels.get(4..));
            let framed = |frame| match ethertype(frame, 12, wires) {
                Ip::Packet(packet) if is_ip(packet) => Some(packet),
                _ => None,
            };
            let packet = control_word.and_then(framed).or_else(|| framed(labels));
            return packet.map_or(Ip::Other(Some(0x8847)), Ip::Packet);
        }
    }
    Ip::Other(Some(0x8847))
}

/// Returns `true` if the first byte is that of an IP packet.
pub(super) fn is_ip(packet: &[u8]) -> bool {
    matches!(packet.first(), Some(byte) if matches!(byte >> 4, 4 | 6))
}

/// Number of Ethernet frames in MPLS that may be packed into each other.
const PSEUDOWIRES_MAX: usize = 2;

/// More labels than any network stacks.
const MPLS_LABELS_MAX: usize = 16;

/// Two of VLANs are in use (QinQ), with one of a virtual switch; some switches add one of their own.
const TAGS_MAX: usize = 5;

const NULL: u16 = 0;
pub(super) const ETHERNET: u16 = 1;
const RAW_BSD: u16 = 12;
const RAW_OPENBSD: u16 = 14;
pub(super) const RAW: u16 = 101;
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const LINUX_SLL2: u16 = 276;

/// AF_INET everywhere, then AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, and macOS.
const IP_FAMILIES: [u32; 5] = [2, 10, 24, 28, 30];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_layer_is_skipped() {
        let behind = |header: &[u8]| [header, b"E..."].concat();
        let mac = [0; 12];
        let sll = [0; 14];
        let wire = [0x88, 0x47, 0, 1, 1, 64];
        let cases: [(u16, Vec<u8>); 26] = [
            (1, behind(&[&mac[..], &[0x89, 0x26, 0x80, 1, 0, 2, 8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x89, 0x26, 0x80, 1, 0, 2, 0x81, 0, 0, 7, 8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x81, 0, 0, 7, 0x89, 0x26, 0x80, 1, 0, 2, 0x86, 0xdd]].concat())),
            (1, behind(&[&mac[..], &[0x89, 0x3f, 0, 0, 0, 1, 0, 0, 8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x89, 0x3f, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 7, 8, 0]].concat())),
            (1, behind(&[&mac[..], &wire, &[0, 0, 0, 9], &mac, &[0x81, 0, 0, 7, 8, 0]].concat())),
            (1, behind(&[&mac[..], &wire, &[2; 12], &[8, 0]].concat())),
            (1, behind(&[&mac[..], &wire, &[0x32; 12], &[8, 0]].concat())),
            (1, behind(&[&mac[..], &[8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x86, 0xdd]].concat())),
            (1, behind(&[&mac[..], &[0x81, 0, 0, 7, 8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0]].concat())),
            (1, behind(&[&mac[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 6, 0, 0x21]].concat())),
            (1, behind(&[&mac[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 5, 0x57]].concat())),
            (1, behind(&[&mac[..], &[0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 6, 0, 0x21]].concat())),
            (1, behind(&[&mac[..], &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64]].concat())),
            (113, behind(&[&sll[..], &[8, 0]].concat())),
            (276, behind(&[&[8, 0][..], &[0; 18]].concat())),
            (101, behind(&[])),
            (12, behind(&[])),
            (14, behind(&[])),
            (228, behind(&[])),
            (229, behind(&[])),
            (0, behind(&[30, 0, 0, 0])),
            (0, behind(&[0, 0, 0, 2])),
            (108, behind(&[0, 0, 0, 24])),
        ];
        for (link, frame) in cases {
            assert_eq!(ip(link, &frame), Ip::Packet(b"E..."), "link type {link}");
        }
    }

    #[test]
    fn what_is_not_ip_is_told_from_what_is_cut() {
        let mac = [0; 12];
        let framed = |rest: &[u8]| [&mac[..], rest].concat();
        assert_eq!(ip(1, &framed(&[8, 6, 0, 1])), Ip::Other(Some(0x0806)));
        assert_eq!(ip(1, &framed(&[0, 60, 0xaa, 0xaa])), Ip::Other(None));
        assert_eq!(ip(1, &[0; 13]), Ip::Cut);
        for cut in
            [&[0x81, 0, 0][..], &[0x89, 0x26, 0, 0, 0], &[0x89, 0x3f, 0, 0, 0, 0, 0], &[0x88, 0x64, 0x11, 0]]
        {
            assert_eq!(ip(1, &framed(cut)), Ip::Cut);
        }
        assert_eq!(ip(276, &[8, 0, 0, 0]), Ip::Cut);
        assert_eq!(ip(1, &framed(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 8, 0xc0, 0x21])), Ip::Other(None));
        let labels = [&[0x88, 0x47][..], &[0, 1, 0, 64].repeat(50)].concat();
        assert_eq!(ip(1, &framed(&labels)), Ip::Other(Some(0x8847)));
        assert_eq!(ip(1, &framed(&[0x88, 0x47, 0, 1, 1, 64, 0, 0])), Ip::Other(Some(0x8847)));
        assert_eq!(ip(0, &[7, 0, 0, 0]), Ip::Other(None));
        assert_eq!(ip(0, &[2, 0]), Ip::Cut);
        assert_eq!(ip(147, b"E..."), Ip::Unsupported);
    }

    #[test]
    fn endless_tags_and_frames_in_frames_end() {
        for tag in [&[0x81, 0, 0, 0][..], &[0x89, 0x26, 0, 0, 0, 0], &[0x89, 0x3f, 0, 0, 0, 0, 0, 0]] {
            assert!(matches!(ip(1, &[&[0; 12][..], &tag.repeat(100)].concat()), Ip::Other(_)));
        }
        let wires = [&[0; 12][..], &[0x88, 0x47, 0, 1, 1, 64]].concat().repeat(3000);
        assert_eq!(ip(1, &wires), Ip::Other(Some(0x8847)));
    }
}
