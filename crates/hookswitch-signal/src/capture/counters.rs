//! Counts of everything that was read, by what became of it.

/// Counts of one reader since it was made.
///
/// Once [`advance`](super::Reader::advance) has returned `false`, six sums balance
/// ([`Counters::balance`] names the one that does not):
///
/// - `packets` = `udp` + `tcp` + `hep_bare` + `other_protocols` + `fragments` + `not_ip` +
///   `unsupported_links` + `exported` + `logged` + `manager` + `posted` + `damaged`
/// - `udp` = `udp_sip` + `udp_hep` + `udp_other`
/// - `udp_hep` + `tcp_hep` + `hep_bare` = `hep_sip` + `hep_not_sip` + `hep_damaged`
/// - `exported` = `exported_sip` + `exported_other`
/// - `tcp_bytes` = `tcp_message_bytes` + `tcp_framing_bytes` + `tcp_keep_alive_bytes` + `tcp_skipped_bytes` +
///   `tcp_retransmitted_bytes`
/// - `messages` = `udp_sip` + `tcp_sip` + `hep_sip` + `exported_sip` + `logged` + `following` +
///   `manager` + `posted`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of a pcap or pcapng, frames of a HEP stream, or lines that are not blank.
    pub packets: u64,
    /// UDP datagrams, those in JSON lines among them.
    pub udp: u64,
    /// TCP segments.
    pub tcp: u64,
    /// Frames of a file of bare HEP frames.
    pub hep_bare: u64,
    /// IP packets that carry neither UDP nor TCP: ICMP, SCTP, tunnels that are not understood.
    pub other_protocols: u64,
    /// Fragments of IP packets, but for the one that completes its datagram: it counts as what the
    /// datagram is.
    pub fragments: u64,
    /// Datagrams in pieces that contradict each other.
    pub fragmented_void: u64,
    /// Frames that carry no IP: ARP, PPP control.
    pub not_ip: u64,
    /// Packets of a link type that is not understood.
    pub unsupported_links: u64,
    /// Messages in the log of a switch, and PDUs that Wireshark has exported; those that are packets or frames count as what these are.
    pub exported: u64,
    /// SIP messages of a text log.
    pub logged: u64,
    /// Messages of a manager connection.
    pub manager: u64,
    /// Signals that were posted.
    pub posted: u64,
    /// Records, headers and lines that are cut or contradict themselves.
    pub damaged: u64,

    /// UDP datagrams that are a SIP message.
    pub udp_sip: u64,
    /// UDP datagrams that are a HEP frame.
    pub udp_hep: u64,
    /// UDP datagrams that are neither: RTP, keep-alives, anything.
    pub udp_other: u64,

    /// HEP frames with a SIP message.
    pub hep_sip: u64,
    /// HEP frames with another protocol (RTCP reports, logs), or without a SIP message where one
    /// is promised.
    pub hep_not_sip: u64,
    /// HEP frames that are cut or contradict themselves.
    pub hep_damaged: u64,

    /// Exported PDUs that are SIP messages.
    pub exported_sip: u64,
    /// Exported PDUs of other protocols.
    pub exported_other: u64,

    /// Messages behind the first one of a HEP frame or exported PDU, which were pieces of a stream.
    pub following: u64,

    /// SIP messages found in TCP streams.
    pub tcp_sip: u64,
    /// HEP frames found in TCP streams.
    pub tcp_hep: u64,
    /// Payload bytes of TCP segments.
    pub tcp_bytes: u64,
    /// Of these, bytes of SIP messages and HEP frames.
    pub tcp_message_bytes: u64,
    /// Of these, what a WebSocket needs around the messages: handshakes, headers of frames, pings.
    pub tcp_framing_bytes: u64,
    /// Of these, line ends between messages (RFC 5626 §3.5.1).
    pub tcp_keep_alive_bytes: u64,
    /// Of these, bytes that belong to no message: streams that are not SIP, messages cut by a
    /// gap, by an eviction or by the end of the file.
    pub tcp_skipped_bytes: u64,
    /// Of these, bytes that were seen before.
    pub tcp_retransmitted_bytes: u64,
    /// Places in SIP streams where bytes are missing from the capture.
    pub tcp_gaps: u64,
    /// Bytes missing there.
    pub tcp_missing_bytes: u64,
    /// Streams given up because too many were open, the least recently used first.
    pub tcp_evicted_streams: u64,

    /// TCP streams, each direction one, in which TLS was seen and no message.
    pub tls_streams: u64,
    /// Of these, streams of port 5061.
    pub tls_sips_streams: u64,
    /// Messages of WebSockets that are compressed, and not read.
    pub websocket_compressed: u64,

    /// Messages yielded.
    pub messages: u64,
    /// Warnings beyond the number that is kept.
    pub warnings_dropped: u64,
}

impl Counters {
    /// Checks the sums above.
    ///
    /// # Errors
    /// The sum that does not balance, as text. That is a mistake in this module, not in a file.
    pub fn balance(&self) -> Result<(), &'static str> {
        let places = self.udp
            + self.tcp
            + self.hep_bare
            + self.other_protocols
            + self.fragments
            + self.not_ip
            + self.unsupported_links
            + self.exported
            + self.logged
            + self.manager
            + self.posted
            + self.damaged;
        let hep = self.hep_sip + self.hep_not_sip + self.hep_damaged;
        let messages = self.udp_sip
            + self.tcp_sip
            + self.hep_sip
            + self.exported_sip
            + self.logged
            + self.following
            + self.manager
            + self.posted;
        let stream = self.tcp_message_bytes
            + self.tcp_framing_bytes
            + self.tcp_keep_alive_bytes
            + self.tcp_skipped_bytes
            + self.tcp_retransmitted_bytes;
        for (balanced, name) in [
            (self.packets == places, "packets"),
            (self.udp == self.udp_sip + self.udp_hep + self.udp_other, "udp"),
            (self.udp_hep + self.tcp_hep + self.hep_bare == hep, "hep"),
            (self.exported == self.exported_sip + self.exported_other, "exported"),
            (self.tcp_bytes == stream, "tcp_bytes"),
            (self.messages == messages, "messages"),
        ] {
            if !balanced {
                return Err(name);
            }
        }
        Ok(())
    }
}
