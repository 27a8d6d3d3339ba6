//! The way from a captured frame to its IP packet.

/// What a link type's frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ip<'a> {
    /// An IP packet of either version, perhaps with padding behind it.
    Packet(&'a [u8]),
    /// Something that is not IP.
    Other,
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
        ETHERNET => ethertype(frame, 12),
        LINUX_SLL => ethertype(frame, 14),
        LINUX_SLL2 => match frame {
            [p0, p1, ..] => tagged([*p0, *p1], frame.get(20..)),
            _ => Ip::Cut,
        },
        RAW | RAW_BSD | RAW_OPENBSD | IPV4 | IPV6 => Ip::Packet(frame),
        NULL | LOOP => match frame.split_first_chunk() {
            // NULL is in the byte order of the machine that captured.
            Some((family, packet)) => {
                let families = [u32::from_le_bytes(*family), u32::from_be_bytes(*family)];
                let is_ip = families.iter().any(|family| IP_FAMILIES.contains(family));
                if is_ip { Ip::Packet(packet) } else { Ip::Other }
            }
            None => Ip::Cut,
        },
        _ => Ip::Unsupported,
    }
}

fn ethertype(frame: &[u8], at: usize) -> Ip<'_> {
    match frame.get(at..at + 2) {
        Some(&[t0, t1]) => tagged([t0, t1], frame.get(at + 2..)),
        _ => Ip::Cut,
    }
}

/// Steps over VLAN tags, one or several (IEEE 802.1Q, 802.1ad).
fn tagged(mut ethertype: [u8; 2], mut rest: Option<&[u8]>) -> Ip<'_> {
    for _ in 0..=VLAN_TAGS_MAX {
        match (u16::from_be_bytes(ethertype), rest) {
            (0x0800 | 0x86dd, Some(packet)) => return Ip::Packet(packet),
            (0x8100 | 0x88a8 | 0x9100, Some(tag)) => match tag {
                [_, _, t0, t1, inner @ ..] => {
                    ethertype = [*t0, *t1];
                    rest = Some(inner);
                }
                _ => return Ip::Cut,
            },
            (0x8864, Some(session)) => return pppoe(session),
            (0x8847 | 0x8848, Some(labels)) => return mpls(labels),
            (_, None) => return Ip::Cut,
            _ => return Ip::Other,
        }
    }
    Ip::Other
}

/// The packet of a PPPoE session (RFC 2516 §4) and of PPP in it (RFC 1661 §2).
fn pppoe(session: &[u8]) -> Ip<'_> {
    match session {
        [0x11, 0, _, _, _, _, 0x00, 0x21 | 0x57, packet @ ..]
        | [0x11, 0, _, _, _, _, 0x21 | 0x57, packet @ ..] => Ip::Packet(packet),
        [_, _, _, _, _, _, _, _, ..] => Ip::Other,
        _ => Ip::Cut,
    }
}

/// The packet behind MPLS labels (RFC 3032 §2.1), where it shows that it is IP.
fn mpls(mut labels: &[u8]) -> Ip<'_> {
    for _ in 0..MPLS_LABELS_MAX {
        let [_, _, last, _, rest @ ..] = labels else { return Ip::Cut };
        labels = rest;
        if last & 1 == 1 {
            let version = labels.first().map(|byte| byte >> 4);
            return if matches!(version, Some(4 | 6)) { Ip::Packet(labels) } else { Ip::Other };
        }
    }
    Ip::Other
}

/// More labels than any network stacks.
const MPLS_LABELS_MAX: usize = 16;

/// Two are in use (QinQ); some switches add one of their own.
const VLAN_TAGS_MAX: usize = 4;

const NULL: u16 = 0;
pub(super) const ETHERNET: u16 = 1;
const RAW_BSD: u16 = 12;
const RAW_OPENBSD: u16 = 14;
const RAW: u16 = 101;
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
        let cases: [(u16, Vec<u8>); 18] = [
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
        assert_eq!(ip(1, &[&[0; 12][..], &[8, 6, 0, 1]].concat()), Ip::Other);
        assert_eq!(ip(1, &[0; 13]), Ip::Cut);
        assert_eq!(ip(1, &[&[0; 12][..], &[0x81, 0, 0]].concat()), Ip::Cut);
        assert_eq!(ip(276, &[8, 0, 0, 0]), Ip::Cut);
        assert_eq!(
            ip(1, &[&[0; 12][..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 8, 0xc0, 0x21]].concat()),
            Ip::Other
        );
        assert_eq!(ip(1, &[&[0; 12][..], &[0x88, 0x64, 0x11, 0]].concat()), Ip::Cut);
        assert_eq!(ip(1, &[&[0; 12][..], &[0x88, 0x47], &[0, 1, 0, 64].repeat(50)].concat()), Ip::Other);
        assert_eq!(ip(1, &[&[0; 12][..], &[0x88, 0x47, 0, 1, 1, 64, 0, 0]].concat()), Ip::Other);
        assert_eq!(ip(0, &[7, 0, 0, 0]), Ip::Other);
        assert_eq!(ip(0, &[2, 0]), Ip::Cut);
        assert_eq!(ip(147, b"E..."), Ip::Unsupported);
    }

    #[test]
    fn endless_vlan_tags_end() {
        assert_eq!(ip(1, &[&[0; 12][..], &[0x81, 0, 0, 0].repeat(100)].concat()), Ip::Other);
    }
}
