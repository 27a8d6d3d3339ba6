"""A client of the API that acts on calls, for the live scripts."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request


class Client:
    """Asks the API as the administrator that `init` has made."""

    def __init__(self, base, login):
        self.base = base
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": login["jwt"]}
        secret = base64.b64encode(f"{login['client_id']}:{login['client_secret']}".encode()).decode()
        request = urllib.request.Request(f"{base}/restapi/oauth/token", urllib.parse.urlencode(form).encode(),
                                         {"authorization": f"Basic {secret}"})
        self.token = json.load(urllib.request.urlopen(request))["access_token"]

    def ask(self, method, path, body=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"} | {
            key.replace("_", "-"): value for key, value in headers.items()}
        path = f"/restapi/v1.0/account/~{path if path.startswith('/extension') else '/telephony' + path}"
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        begun = time.time()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None, time.time() - begun


def devices(client):
    """The device of each extension, by its number."""
    _, answer, _ = client.ask("GET", "/extension?perPage=100")
    found = {}
    for record in answer["records"]:
        _, own, _ = client.ask("GET", f"/extension/{record['id']}/device")
        found[record["extensionNumber"]] = own["records"][0]["id"]
    return found
