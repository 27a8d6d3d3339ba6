//! Calls as capture agents report them, made up by the test.

use std::net::{SocketAddr, UdpSocket};

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::{Captured, Transport, hep};

/// The time of the first message; any will do that is not ahead of the clock.
const START: i64 = 1_700_000_000_000_000;

/// A capture agent.
pub(super) struct Agent {
    socket: UdpSocket,
    to: SocketAddr,
    id: u32,
    key: Option<&'static [u8]>,
    /// Its clock, in microseconds.
    now: i64,
}

impl Agent {
    pub(super) fn new(to: SocketAddr, id: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        Self { socket, to, id, key: None, now: START }
    }

    pub(super) fn with_key(self, key: &'static [u8]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Its clock shows this, in microseconds since 1970.
    pub(super) fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    /// Sends a SIP message from the port of another.
    pub(super) fn send_as(&mut self, other: &Self, way: Way, message: &str) {
        let frame = self.frame(way, message);
        other.send_raw(&frame);
    }

    /// Its clock is ahead by so many hours.
    pub(super) fn ahead(self, hours: i64) -> Self {
        Self { now: self.now + hours * 3_600_000_000, ..self }
    }

    /// Sends to another address: the server was started again.
    pub(super) fn send_to(&mut self, to: SocketAddr) {
        self.to = to;
    }

    /// Sends a SIP message; false if nobody listens.
    pub(super) fn send(&mut self, way: Way, message: &str) -> bool {
        let frame = self.frame(way, message);
        self.socket.send_to(&frame, self.to).is_ok()
    }

    /// The frame of a message.
    pub(super) fn frame(&mut self, way: Way, message: &str) -> Vec<u8> {
        self.frame_of(way, message.as_bytes())
    }

    /// The frame of bytes that may be no text.
    pub(super) fn frame_of(&mut self, way: Way, message: &[u8]) -> Vec<u8> {
        self.now += 10_000;
        let caller = "192.0.2.1:5060".parse().expect("an address");
        let callee = "192.0.2.2:5060".parse().expect("an address");
        let (src, dst) = if way == Way::There { (caller, callee) } else { (callee, caller) };
        let captured = Captured {
            time: Timestamp::from_micros(self.now),
            transport: Transport::Udp,
            src,
            dst,
            packet: 0,
            correlation: None,
            payload: message,
        };
        let mut frame = Vec::new();
        hep::write(&captured, self.id, self.key, &mut frame).expect("it fits");
        frame
    }

    /// Sends bytes as they are.
    pub(super) fn send_raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).expect("the datagram leaves");
    }
}

/// Direction of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    There,
    Back,
}

/// The messages of an answered call, which tell eight events.
pub(super) fn call(id: &str) -> [(Way, String); 6] {
    let message = |start: &str, cseq: &str, to_tag: &str| {
        let branch = format!("{id}-{}", cseq.replace(' ', "-"));
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{branch}\r\nFrom: <sip:101@pbx>;tag=a\r\n\
             To: <sip:102@pbx>{to_tag}\r\nCall-ID: {id}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n",
        )
    };
    let tag = ";tag=b";
    [
        (Way::There, message("INVITE sip:102@pbx SIP/2.0", "1 INVITE", "")),
        (Way::Back, message("SIP/2.0 180 Ringing", "1 INVITE", tag)),
        (Way::Back, message("SIP/2.0 200 OK", "1 INVITE", tag)),
        (Way::There, message("ACK sip:102@pbx SIP/2.0", "1 ACK", tag)),
        (Way::There, message("BYE sip:102@pbx SIP/2.0", "2 BYE", tag)),
        (Way::Back, message("SIP/2.0 200 OK", "2 BYE", tag)),
    ]
}

/// How many events [`call`] tells.
pub(super) const EVENTS_OF_CALL: usize = 8;
