"""Webhooks by the Python SDK of applications, as it is published.

SERVER=http://... CLIENT_ID=... CLIENT_SECRET=... JWT=... python subscriptions.py
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from ringcentral import SDK
from ringcentral.http.api_exception import ApiException

PATH = "/restapi/v1.0/subscription"


class Receiver(BaseHTTPRequestHandler):
    """Answers the question whether it wants notifications."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        if self.headers["Validation-Token"]:
            self.send_header("Validation-Token", self.headers["Validation-Token"])
        self.end_headers()

    def log_message(self, *_):
        pass


receiver = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()

platform = SDK(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], os.environ["SERVER"]).platform()
platform.login(jwt=os.environ["JWT"])
created = platform.post(
    PATH,
    {
        "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions?direction=Inbound", "/restapi/v1.0/account/~/presence"],
        "deliveryMode": {"transportType": "WebHook", "address": f"http://127.0.0.1:{receiver.server_port}/"},
    },
).json_dict()
assert created["status"] == "Active" and created["expiresIn"] == 604799, created
assert len(created["eventFilters"]) == 2, created
at = f"{PATH}/{created['id']}"
assert platform.get(at).json_dict()["id"] == created["id"]
assert [one["id"] for one in platform.get(PATH + "/").json_dict()["records"]] == [created["id"]]
updated = platform.put(at, {"eventFilters": created["eventFilters"][:1], "expiresIn": 600}).json_dict()
assert updated["expiresIn"] == 599 and len(updated["eventFilters"]) == 1, updated
assert platform.post(at + "/renew").json_dict()["expiresIn"] == 599
assert platform.delete(at).response().status_code == 204
try:
    platform.get(at)
    raise SystemExit("a subscription that was deleted is there")
except ApiException as error:
    assert error.api_response().response().status_code == 404, error
    print("good:", error)
