#!/usr/bin/env python3
"""A receiver of webhooks: agrees to be told, checks signatures if it has the secret, prints what it is told.

    receiver.py [PORT [SECRET]]

It needs nothing but Python. SECRET is the signingSecret of the subscription, whsec_ and base64.
"""

import base64
import hashlib
import hmac
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
KEY = base64.b64decode(sys.argv[2].removeprefix("whsec_")) if len(sys.argv) > 2 else None
TOLERANCE_SECONDS = 300


def is_signed(headers, body):
    """Whether a notification comes from who knows the key, and has not been on its way for long."""
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{identity}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        question = self.headers.get("validation-token")
        good = question is not None or KEY is None or is_signed(self.headers, body)
        self.send_response(200 if good else 401)
        if question is not None:
            self.send_header("Validation-Token", question)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if good and body:
            print(body.decode(), flush=True)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
print(f"listening on http://127.0.0.1:{server.server_port}/", file=sys.stderr, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
