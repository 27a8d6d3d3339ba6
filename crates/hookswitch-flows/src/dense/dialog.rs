//! One SIP call between the switch and one of its neighbours.

use std::net::SocketAddr;

use fastrand::Rng;

use super::Packet;

/// One Call-ID: the side that calls comes first.
pub(super) struct Dialog {
    pub(super) call_id: String,
    pub(super) agents: [&'static str; 2],
    pub(super) answered: bool,
    sides: [SocketAddr; 2],
    from: String,
    to: String,
    to_tag: String,
    uri: String,
    cseq: u32,
    branch: u64,
    headers: String,
}

impl Dialog {
    pub(super) fn new(
        rng: &mut Rng,
        caller: SocketAddr,
        callee: SocketAddr,
        from: &str,
        called: &str,
        domain: &str,
        headers: &str,
    ) -> Self {
        Self {
            call_id: format!("{:032x}", rng.u128(..)),
            agents: ["", ""],
            answered: false,
            sides: [caller, callee],
            from: format!("{from};tag={:010x}", rng.u32(..)),
            to: format!("<sip:{called}@{domain}>"),
            to_tag: format!(";tag={:010x}", rng.u32(..)),
            uri: format!("sip:{called}@{domain}"),
            cseq: rng.u32(1..30_000),
            branch: rng.u64(..),
            headers: headers.to_owned(),
        }
    }

    pub(super) fn invite(&mut self, at: i64, out: &mut Vec<Packet>) {
        let host = self.sides[0].ip();
        let body = format!(
            "v=0\r\no=- {0} {0} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n",
            self.branch >> 32
        );
        let headers = format!("{}Content-Type: application/sdp\r\n", self.headers);
        self.request(at, "INVITE", "", &headers, &body, out);
    }

    /// The caller tries again with credentials.
    pub(super) fn try_again(&mut self, rng: &mut Rng) {
        self.cseq += 1;
        self.branch = rng.u64(..);
        self.headers +=
            "Authorization: Digest username=\"x\",realm=\"switch\",nonce=\"y\",response=\"z\"\r\n";
    }

    pub(super) fn respond(&self, at: i64, status: &str, out: &mut Vec<Packet>) {
        self.response(at, status, "INVITE", "", out);
    }

    pub(super) fn answer(&mut self, at: i64, out: &mut Vec<Packet>) {
        self.answered = true;
        let body = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0 101\r\n";
        self.response(at, "200 OK", "INVITE", body, out);
        let to_tag = self.to_tag.clone();
        self.request(at + 600, "ACK", &to_tag, "", "", out);
    }

    pub(super) fn refuse(&mut self, at: i64, status: &str, out: &mut Vec<Packet>) {
        self.response(at, status, "INVITE", "", out);
        let to_tag = self.to_tag.clone();
        self.request(at + 400, "ACK", &to_tag, "", "", out);
    }

    pub(super) fn cancel(&mut self, at: i64, out: &mut Vec<Packet>) {
        self.request(at, "CANCEL", "", "", "", out);
        self.response(at + 400, "200 OK", "CANCEL", "", out);
        self.refuse(at + 600, "487 Request Terminated", out);
    }

    pub(super) fn bye(&mut self, at: i64, out: &mut Vec<Packet>) {
        self.cseq += 1;
        self.branch = self.branch.wrapping_add(1);
        let to_tag = self.to_tag.clone();
        self.request(at, "BYE", &to_tag, "", "", out);
        self.response(at + 500, "200 OK", "BYE", "", out);
    }

    fn request(&self, at: i64, method: &str, to_tag: &str, headers: &str, body: &str, out: &mut Vec<Packet>) {
        let Self { call_id, sides, from, to, uri, cseq, branch, agents, .. } = self;
        let payload = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {0};rport;branch=z9hG4bK{branch:016x}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{0}>\r\nUser-Agent: {1}\r\n{headers}Content-Length: {2}\r\n\r\n{body}",
            sides[0],
            agents[0],
            body.len()
        );
        out.push(Packet { at_micros: at, src: sides[0], dst: sides[1], payload: payload.into_bytes() });
    }

    fn response(&self, at: i64, status: &str, method: &str, body: &str, out: &mut Vec<Packet>) {
        let Self { call_id, sides, from, to, to_tag, cseq, branch, agents, .. } = self;
        let to_tag = if status.starts_with("100") { "" } else { to_tag };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let payload = format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bK{branch:016x}\r\nFrom: {from}\r\nTo: {to}{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{}>\r\nServer: {}\r\n{content}Content-Length: {}\r\n\r\n{body}",
            sides[0],
            sides[1],
            agents[1],
            body.len()
        );
        out.push(Packet { at_micros: at, src: sides[1], dst: sides[0], payload: payload.into_bytes() });
    }
}
