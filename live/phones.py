"""Phones that do what a scenario says: SIP over UDP (RFC 3261), and silence as media (RFC 3550).

Each phone has an address of its own on the loopback interface. What is waited for has a time limit, so that a
scenario that goes wrong ends.
"""

import hashlib
import queue
import random
import re
import socket
import struct
import threading
import time

PATIENCE = 10


class SipError(Exception):
    """Something that was waited for did not come."""


def wait_for(condition, what, seconds=PATIENCE):
    """Waits until a condition holds, and gives its value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise SipError(f"{what} did not come within {seconds} s")


class Message:
    """One SIP message, by its first line, headers and body."""

    def __init__(self, data):
        head, _, self.body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.headers = []
        for line in lines:
            name, _, value = line.partition(":")
            self.headers.append((name.strip().lower(), value.strip()))
        words = self.first.split(" ", 2)
        self.status = int(words[1]) if words[0] == "SIP/2.0" else None
        self.method = None if self.status else words[0]

    def get(self, name):
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def tag(self, name):
        found = re.search(r";tag=([^;\s]+)", self.get(name))
        return found.group(1) if found else ""

    def uri(self, name):
        found = re.search(r"<([^>]+)>", self.get(name))
        return found.group(1) if found else self.get(name)

    @property
    def media(self):
        """Where the other side wants its media; none if it says nothing of that."""
        host = re.search(r"^c=IN IP4 (\S+)", self.body, re.M)
        port = re.search(r"^m=audio (\d+)", self.body, re.M)
        return (host.group(1), int(port.group(1))) if host and port else None

    @property
    def cseq(self):
        number, method = self.get("cseq").split()
        return int(number), method


def token():
    return f"{random.getrandbits(48):012x}"


class Call:
    """One call of a phone, placed or received."""

    def __init__(self, phone, call_id, remote, local_tag, number):
        self.phone, self.id, self.local_tag, self.number = phone, call_id, local_tag, number
        self.remote = remote  # URI, and tag when it is known
        self.remote_tag = ""
        self.target = remote
        self.cseq = random.randrange(1, 1000)
        self.invite = None  # one that was received
        self.branch = ""
        self.final = None
        self.is_ringing = self.is_up = self.is_over = False
        self.to_header = ""
        self.direction = "sendrecv"
        self.media, self.ssrc = None, random.getrandbits(32)
        self.answers = queue.Queue()

    # What the phone's holder does.

    def ring(self):
        self.phone.respond(self.invite, 180, "Ringing", self)
        return self

    def answer(self):
        self.phone.respond(self.invite, 200, "OK", self, sdp=True)
        self.is_up = True
        return self

    def reject(self, status, phrase, *more):
        self.phone.respond(self.invite, status, phrase, self, more=more)
        self.is_over = True

    def hang_up(self):
        if self.is_over:
            return
        if self.is_up:
            self.is_over = True
            self.request("BYE")
        elif self.invite is None:
            self.phone.cancel(self)

    def hold(self, direction="sendonly"):
        self.direction = direction
        self.request("INVITE", sdp=True)

    def resume(self):
        self.hold("sendrecv")

    def transfer(self, number):
        self.request("REFER", f"Refer-To: <sip:{number}@{self.phone.domain}>", f"Referred-By: <{self.phone.aor}>")

    def transfer_to(self, other):
        """Joins this call with another of the phone's own."""
        replaces = f"{other.id}%3Bto-tag%3D{other.remote_tag}%3Bfrom-tag%3D{other.local_tag}"
        refer_to = f"Refer-To: <{other.target.split(';')[0]}?Replaces={replaces}>"
        self.request("REFER", refer_to, f"Referred-By: <{self.phone.aor}>")

    def dial(self, digits):
        for digit in digits:
            body = f"Signal={digit}\r\nDuration=160\r\n"
            self.request("INFO", "Content-Type: application/dtmf-relay", body=body)
            time.sleep(0.15)

    # What is waited for.

    def rings(self, seconds=PATIENCE):
        wait_for(lambda: self.is_ringing or self.is_up, f"ringing of {self.number}", seconds)
        return self

    def is_answered(self, seconds=PATIENCE):
        wait_for(lambda: self.is_up, f"the answer of {self.number}", seconds)
        return self

    def ends(self, seconds=PATIENCE):
        wait_for(lambda: self.is_over, f"the end of the call with {self.number}", seconds)
        return self

    def request(self, method, *more, body="", sdp=False):
        self.cseq += 1
        self.phone.send_in_dialog(self, method, self.cseq, more, self.phone.sdp(self.direction) if sdp else body, sdp)
        if method != "BYE":
            status = self.answers.get(timeout=PATIENCE)
            if status >= 300:
                raise SipError(f"{method} was refused with {status}")


class Phone:
    """A phone or a carrier at an address, with one user."""

    def __init__(self, host, port, server, user, domain, password=None, name=None):
        self.host, self.port, self.server, self.user = host, port, server, user
        self.domain, self.password, self.name = domain, password, name or user
        self.aor = f"sip:{user}@{domain}"
        self.calls, self.sent, self.registered = {}, {}, None
        self.incoming = queue.Queue()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.settimeout(0.2)
        self.open = True
        self.lock = threading.RLock()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.media_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media_socket.bind((host, port + 10000))
        self.media_socket.setblocking(False)
        self.speaker = threading.Thread(target=self._speak, daemon=True)
        self.speaker.start()

    def close(self):
        self.open = False
        self.reader.join()
        self.speaker.join()
        self.socket.close()
        self.media_socket.close()

    def _speak(self):
        """Sends silence in each call that goes on: a switch reads no hang-up while it waits for media."""
        number, silence = 0, b"\xff" * 160
        while self.open:
            begun = time.monotonic()
            for call in list(self.calls.values()):
                if call.media and call.is_up and not call.is_over:
                    head = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, call.ssrc)
                    try:
                        self.media_socket.sendto(head + silence, call.media)
                    except OSError:
                        pass
            try:
                while True:
                    self.media_socket.recv(2048)
            except OSError:
                pass
            number += 1
            time.sleep(max(0.0, 0.02 - (time.monotonic() - begun)))

    @property
    def contact(self):
        return f"<sip:{self.user}@{self.host}:{self.port}>"

    def sdp(self, direction="sendrecv"):
        return (
            f"v=0\r\no=- 1 {random.randrange(1, 10**6)} IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.port + 10000} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    def _send(self, text):
        self.socket.sendto(text.encode(), self.server)

    def _write(self, first, lines, body="", sdp=False):
        lines = [line for line in lines if line]
        if sdp:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body.encode())}")
        return "\r\n".join([first, *lines]) + "\r\n\r\n" + body

    # Requests.

    def register(self, expires=3600):
        self.registered = None
        self._register(token(), 1, expires, "")
        wait_for(lambda: self.registered, f"the registration of {self.user}")

    def _register(self, call_id, cseq, expires, authorization):
        self._send(self._write(f"REGISTER sip:{self.domain} SIP/2.0", [
            self._via(), "Max-Forwards: 70", f"From: <{self.aor}>;tag=r{call_id}", f"To: <{self.aor}>",
            f"Call-ID: {call_id}", f"CSeq: {cseq} REGISTER", f"Contact: {self.contact}", f"Expires: {expires}",
            authorization,
        ]))

    def _via(self, branch=None):
        return f"Via: SIP/2.0/UDP {self.host}:{self.port};rport;branch={branch or 'z9hG4bK' + token()}"

    def call(self, number, *more, shown=None, domain=None):
        """Places a call; `shown` is the number in From, where it is not the user's own."""
        with self.lock:
            local_tag, call_id = token(), token()
            remote = f"sip:{number}@{domain or self.domain}"
            call = Call(self, call_id, remote, local_tag, number)
            call.shown, call.more = shown or self.user, more
            self.calls[call_id] = call
            self._invite(call, "")
        return call

    def _from(self, call):
        shown = getattr(call, "shown", self.user)
        return f'"{self.name}" <sip:{shown}@{self.domain}>;tag={call.local_tag}'

    def _invite(self, call, authorization):
        call.branch = "z9hG4bK" + token()
        call.request_uri = call.remote
        self._send(self._write(f"INVITE {call.remote} SIP/2.0", [
            self._via(call.branch), "Max-Forwards: 70", f"From: {self._from(call)}", f"To: <{call.remote}>",
            f"Call-ID: {call.id}", f"CSeq: {call.cseq} INVITE", f"Contact: {self.contact}",
            "Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, INFO, UPDATE, OPTIONS", "Supported: replaces",
            *call.more, authorization,
        ], self.sdp(), True))

    def cancel(self, call):
        self._send(self._write(f"CANCEL {call.remote} SIP/2.0", [
            self._via(call.branch), "Max-Forwards: 70", f"From: {self._from(call)}", f"To: <{call.remote}>",
            f"Call-ID: {call.id}", f"CSeq: {call.cseq} CANCEL",
        ]))

    def send_in_dialog(self, call, method, cseq, more, body, sdp):
        if call.invite is None:
            own, theirs = self._from(call), call.to_header
        else:
            own = f"{call.invite.get('to')};tag={call.local_tag}"
            theirs = call.invite.get("from")
        self._send(self._write(f"{method} {call.target} SIP/2.0", [
            self._via(), "Max-Forwards: 70", f"From: {own}", f"To: {theirs}", f"Call-ID: {call.id}",
            f"CSeq: {cseq} {method}", f"Contact: {self.contact}", *more,
        ], body, sdp))

    # Answers.

    def respond(self, request, status, phrase, call=None, sdp=False, more=()):
        to = request.get("to")
        if call is not None and ";tag=" not in to:
            to += f";tag={call.local_tag}"
        text = self._write(f"SIP/2.0 {status} {phrase}", [
            *(f"Via: {via}" for via in request.all("via")), f"From: {request.get('from')}", f"To: {to}",
            f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}",
            "" if any(line.startswith("Contact:") for line in more) else f"Contact: {self.contact}", *more,
        ], self.sdp(call.direction if call and call.direction == "sendrecv" else "sendrecv") if sdp else "", sdp)
        self.sent[(request.get("call-id"), request.get("cseq"), request.get("via"))] = text
        self._send(text)

    def _read(self):
        while self.open:
            try:
                data, _ = self.socket.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            if data.strip():
                message = Message(data)
                with self.lock:
                    if message.status:
                        self._answered(message)
                    else:
                        self._asked(message)

    def _answered(self, message):
        number, method = message.cseq
        if method == "REGISTER":
            if message.status in (401, 407):
                uri = f"sip:{self.domain}"
                self._register(message.get("call-id"), number + 1, 3600, self._authorize(message, "REGISTER", uri))
            elif message.status == 200:
                self.registered = True
            return
        call = self.calls.get(message.get("call-id"))
        if call is None:
            return
        if method != "INVITE":
            if message.status >= 200 and method not in ("CANCEL", "BYE"):
                call.answers.put(message.status)
            return
        call.media = message.media or call.media
        if message.status < 200:
            if message.status in (180, 183) and not call.is_up:
                call.is_ringing = True
            return
        call.to_header = message.get("to")
        call.remote_tag = message.tag("to")
        target = message.uri("contact") or call.target
        is_first = call.final is None
        ok = message.status < 300
        if ok:
            call.target = target
        branch = None if ok else call.branch
        self._send(self._write(f"ACK {call.target if ok else call.remote} SIP/2.0", [
            self._via(branch), "Max-Forwards: 70",
            f"From: {self._from(call) if call.invite is None else message.get('from')}", f"To: {message.get('to')}",
            f"Call-ID: {call.id}", f"CSeq: {number} ACK",
        ]))
        if not is_first or call.invite is not None:
            call.answers.put(message.status)
        elif message.status in (401, 407) and self.password and not getattr(call, "asked", False):
            call.asked = True
            call.cseq += 1
            self._invite(call, self._authorize(message, "INVITE", call.remote))
        else:
            call.final = message.status
            call.is_up, call.is_over = ok, not ok

    def _authorize(self, message, method, uri):
        name = "www-authenticate" if message.status == 401 else "proxy-authenticate"
        challenge = dict(re.findall(r'(\w+)="?([^",]+)"?', message.get(name)))
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        one = md5(f"{self.user}:{challenge['realm']}:{self.password}")
        two = md5(f"{method}:{uri}")
        cnonce = token()
        response = md5(f"{one}:{challenge['nonce']}:00000001:{cnonce}:auth:{two}")
        header = "Authorization" if message.status == 401 else "Proxy-Authorization"
        return (
            f'{header}: Digest username="{self.user}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
            f'uri="{uri}", response="{response}", algorithm=MD5, cnonce="{cnonce}", qop=auth, nc=00000001'
        )

    def _asked(self, message):
        again = self.sent.get((message.get("call-id"), message.get("cseq"), message.get("via")))
        if again:
            self._send(again)
            return
        call = self.calls.get(message.get("call-id"))
        method = message.method
        if method == "ACK":
            return
        if method == "INVITE" and call is None:
            call = Call(self, message.get("call-id"), message.uri("from"), token(), message.uri("from"))
            call.invite, call.remote_tag = message, message.tag("from")
            call.media = message.media
            call.target = message.uri("contact")
            call.number = re.sub(r"^sip:|@.*$", "", message.uri("from"))
            self.calls[call.id] = call
            self.respond(message, 100, "Trying")
            del self.sent[(message.get("call-id"), message.get("cseq"), message.get("via"))]
            self.incoming.put(call)
        elif method == "INVITE":
            call.target = message.uri("contact") or call.target
            call.media = message.media or call.media
            self.respond(message, 200, "OK", call, sdp=True)
        elif method == "CANCEL" and call is not None:
            self.respond(message, 200, "OK", call)
            if not call.is_up and not call.is_over:
                call.is_over = True
                self.respond(call.invite, 487, "Request Terminated", call)
        elif method == "BYE" and call is not None:
            call.is_over = True
            self.respond(message, 200, "OK", call)
        elif call is None and method not in ("OPTIONS", "NOTIFY"):
            self.respond(message, 481, "Call/Transaction Does Not Exist")
        else:
            self.respond(message, 200, "OK", call)

    def is_called(self, seconds=PATIENCE):
        """Waits for the next call that comes in."""
        try:
            return self.incoming.get(timeout=seconds)
        except queue.Empty:
            raise SipError(f"{self.user} was not called within {seconds} s") from None
