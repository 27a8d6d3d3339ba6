#!/usr/bin/env python3
"""A back-to-back user agent, just large enough to stand for a PBX while a capture is made.

It asks the caller for credentials (and takes any answer), calls the wanted phone on a second
dialog with a Call-ID of its own, passes ringing, answer, refusal, CANCEL and BYE across, and
answers a hold itself, as most PBXs do. It is no PBX: no registration, no media, no forking, UDP only,
and it repeats nothing, because nothing is lost on a loopback interface.
"""

import re
import secrets
import socket
import sys
from dataclasses import dataclass, field

HOST, PORT = "127.0.0.10", 5060
PHONES = {"101": ("Ann Lee", "127.0.0.11"), "102": ("Bo Roy", "127.0.0.12")}
HERE = f"{HOST}:{PORT}"
AGENT = "switchboard"
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS"
RTP_PORTS = {"a": 41000, "b": 41002}


@dataclass
class Message:
    """One SIP message; header names are the full ones in lower case."""

    start: str
    headers: list
    body: str
    source: tuple

    @classmethod
    def parse(cls, data, source):
        head, _, body = data.decode().partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        return cls(start, [(name.lower(), value) for name, value in headers], body, source)

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def method(self):
        return self.header("cseq").split()[1]

    @property
    def reason(self):
        return self.start.split(" ", 2)[2]


@dataclass
class Leg:
    """One dialog, from the switchboard's point of view."""

    name: str
    call_id: str
    local: str
    remote: str
    address: tuple
    target: str
    invite: Message = None
    branch: str = ""
    cseq: int = 0
    sdp_version: int = 0
    sdp_id: int = field(default_factory=lambda: secrets.randbelow(10**9))
    peer: "Leg" = None
    ended: bool = False


class Switchboard:
    def __init__(self, sock):
        self.sock = sock
        self.legs = {}

    def handle(self, message):
        leg = self.legs.get(message.header("call-id"))
        if message.status is not None:
            if leg and leg.name == "b":
                self.from_callee(leg, message)
            return
        method = message.method
        if method == "ACK":
            return
        if method == "INVITE" and leg is None:
            self.new_call(message)
        elif leg is None:
            self.answer(message, "481 Call/Transaction Does Not Exist")
        elif method == "INVITE":
            held = re.search(r"^a=(sendonly|inactive)\r?$", message.body, re.M)
            self.answer(message, "200 OK", leg, sdp=self.sdp(leg, "recvonly" if held else "sendrecv"))
        elif method == "CANCEL":
            self.answer(message, "200 OK", leg)
            self.answer(leg.invite, "487 Request Terminated", leg)
            self.request(leg.peer, "CANCEL")
        elif method == "BYE":
            leg.ended = True
            self.answer(message, "200 OK", leg)
            if not leg.peer.ended:
                leg.peer.ended = True
                self.request(leg.peer, "BYE")
        else:
            self.answer(message, "501 Not Implemented", leg)

    def new_call(self, invite):
        if invite.header("authorization") is None:
            challenge = f'Digest realm="{AGENT}", nonce="{secrets.token_hex(12)}", algorithm=MD5'
            self.answer(invite, "401 Unauthorized", extra=[("WWW-Authenticate", challenge)])
            return
        caller, called = user_of(invite.header("from")), user_of(invite.start)
        if not {caller, called} <= PHONES.keys():
            self.answer(invite, "404 Not Found")
            return
        a = Leg("a", invite.header("call-id"), f"{invite.header('to')};tag={tag()}", invite.header("from"),
                invite.source, uri_of(invite.header("contact")), invite)
        host = PHONES[called][1]
        b = Leg("b", secrets.token_hex(16), f'"{PHONES[caller][0]}" <sip:{caller}@{HOST}>;tag={tag()}',
                f"<sip:{called}@{HOST}>", (host, PORT), f"sip:{called}@{host}:{PORT}")
        a.peer, b.peer = b, a
        self.legs[a.call_id], self.legs[b.call_id] = a, b
        self.answer(invite, "100 Trying", a, tagged=False)
        self.request(b, "INVITE", sdp=self.sdp(b, "sendrecv"))

    def from_callee(self, leg, response):
        if response.method != "INVITE" or response.status == 100:
            return
        leg.remote = response.header("to")
        number = user_of(leg.remote)
        identity = [("P-Asserted-Identity", f'"{PHONES[number][0]}" <sip:{number}@{HOST}>')]
        status = response.start.removeprefix("SIP/2.0 ")
        if response.status < 200:
            self.answer(leg.peer.invite, status, leg.peer, extra=identity)
        elif response.status < 300:
            leg.target = uri_of(response.header("contact"))
            self.request(leg, "ACK")
            self.answer(leg.peer.invite, status, leg.peer, extra=identity, sdp=self.sdp(leg.peer, "sendrecv"))
        else:
            self.request(leg, "ACK", refused=True)
            if response.status != 487:
                self.answer(leg.peer.invite, status, leg.peer)

    def sdp(self, leg, direction):
        leg.sdp_version += 1
        port = RTP_PORTS[leg.name]
        lines = ["v=0", f"o=- {leg.sdp_id} {leg.sdp_version} IN IP4 {HOST}", f"s={AGENT}", f"c=IN IP4 {HOST}",
                 "t=0 0", f"m=audio {port} RTP/AVP 0 8 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000",
                 "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", f"a={direction}"]
        return "".join(f"{line}\r\n" for line in lines)

    def answer(self, request, status, leg=None, *, tagged=True, extra=(), sdp=""):
        to = request.header("to")
        if tagged and ";tag=" not in to:
            to = leg.local if leg else f"{to};tag={tag()}"
        headers = [("Via", value) for name, value in request.headers if name == "via"]
        headers += [("From", request.header("from")), ("To", to), ("Call-ID", request.header("call-id")),
                    ("CSeq", request.header("cseq")), ("Server", AGENT)]
        if request.method == "INVITE" and 100 < int(status[:3]) < 300:
            headers += [("Contact", f"<sip:{HERE}>"), ("Allow", ALLOW)]
        self.send(f"SIP/2.0 {status}", [*headers, *extra], sdp, request.source)

    def request(self, leg, method, *, sdp="", refused=False):
        """Sends a request on the dialog; an ACK to a refusal and a CANCEL belong to the INVITE's transaction."""
        same_transaction = refused or method == "CANCEL"
        if not same_transaction and method != "ACK":
            leg.cseq += 1
        branch = leg.branch if same_transaction else f"z9hG4bK-{secrets.token_hex(8)}"
        if method == "INVITE":
            leg.branch = branch
        to = leg.remote.split(";tag=")[0] if method == "CANCEL" else leg.remote
        headers = [("Via", f"SIP/2.0/UDP {HERE};rport;branch={branch}"), ("Max-Forwards", "70"), ("From", leg.local),
                   ("To", to), ("Call-ID", leg.call_id), ("CSeq", f"{leg.cseq} {method}"), ("User-Agent", AGENT)]
        if method == "INVITE":
            headers += [("Contact", f"<sip:{HERE}>"), ("Allow", ALLOW)]
        target = f"sip:{user_of(leg.remote)}@{leg.address[0]}:{PORT}" if same_transaction else leg.target
        self.send(f"{method} {target} SIP/2.0", headers, sdp, leg.address)

    def send(self, start, headers, sdp, address):
        if sdp:
            headers = [*headers, ("Content-Type", "application/sdp")]
        lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(sdp)}"]
        self.sock.sendto(("\r\n".join(lines) + "\r\n\r\n" + sdp).encode(), address)


def tag():
    return secrets.token_hex(6)


def uri_of(header):
    return re.search(r"<([^>]*)>", header).group(1)


def user_of(header):
    return re.search(r"sip:(\w+)@", header).group(1)


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((HOST, PORT))
    except OSError as error:
        sys.exit(f"switchboard: cannot listen on {HERE}: {error.strerror}; stop what uses the port and try again")
    board = Switchboard(sock)
    while True:
        data, source = sock.recvfrom(65535)
        if data.strip():
            board.handle(Message.parse(data, source))


if __name__ == "__main__":
    main()
