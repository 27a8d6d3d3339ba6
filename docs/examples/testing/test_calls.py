"""A test in Python: an application that keeps a list of missed calls, against a server of its own.

Run it with `python3 -m unittest test_calls.py`; it needs hookswitch in PATH, and nothing but Python.
"""

import base64
import json
import subprocess
import threading
import time
import unittest
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Application(ThreadingHTTPServer):
    """What is to be tested: it notes who called in vain."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.missed = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        if "validation-token" in self.headers:
            self.send_header("Validation-Token", self.headers["validation-token"])
        self.send_header("Content-Length", "0")
        self.end_headers()
        if body:
            party = json.loads(body)["body"]["parties"][0]
            if party["missedCall"] and party["status"]["code"] == "Disconnected":
                self.server.missed.append(party["from"]["phoneNumber"])

    def log_message(self, *_):
        pass


def request(address, headers, body):
    """Posts, and gives the JSON of the answer."""
    posted = urllib.request.Request(address, body, headers)
    with urllib.request.urlopen(posted, timeout=10) as answer:
        return json.load(answer)


class Calls(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen(["hookswitch", "serve", "--ephemeral"], stdout=subprocess.PIPE)
        self.addCleanup(self.stop)
        self.server = json.loads(self.process.stdout.readline())
        self.application = Application()
        self.addCleanup(self.application.server_close)
        self.addCleanup(self.application.shutdown)
        self.subscribe(f"http://127.0.0.1:{self.application.server_port}/")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def subscribe(self, address):
        login = f"{self.server['client_id']}:{self.server['client_secret']}".encode()
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.server["jwt"]}
        headers = {"Authorization": "Basic " + base64.b64encode(login).decode()}
        body = urllib.parse.urlencode(form).encode()
        token = request(self.server["server"] + "/restapi/oauth/token", headers, body)["access_token"]
        self.headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
        delivery = {"transportType": "WebHook", "address": address}
        filters = ["/restapi/v1.0/account/~/telephony/sessions"]
        body = json.dumps({"eventFilters": filters, "deliveryMode": delivery, "expiresIn": 3600}).encode()
        self.subscription = request(self.server["server"] + "/restapi/v1.0/subscription", self.headers, body)

    def trigger(self, *arguments):
        server = ["--server", self.server["server"], "--token", self.server["admin_token"]]
        subprocess.run(["hookswitch", "trigger", *arguments, *server], check=True, stdout=subprocess.DEVNULL)

    def wait_for(self, condition):
        for _ in range(200):
            if condition():
                return
            time.sleep(0.05)
        self.fail("waited in vain")

    def test_a_missed_call_is_noted_and_an_answered_one_is_not(self):
        self.trigger("answered", "--from", "+12125550100", "--to", "101")
        self.trigger("missed", "--from", "+12125550147", "--to", "101")
        self.wait_for(lambda: self.application.missed)
        self.assertEqual(self.application.missed, ["+12125550147"])

    def test_a_subscription_that_nobody_renews_ends(self):
        advance = json.dumps({"advance": "2h"}).encode()
        headers = {"Authorization": "Bearer " + self.server["admin_token"]}
        request(self.server["server"] + "/admin/v1/clock", headers, advance)
        self.trigger("missed", "--from", "+12125550147", "--to", "101")
        time.sleep(0.5)
        self.assertEqual(self.application.missed, [])


if __name__ == "__main__":
    unittest.main()
