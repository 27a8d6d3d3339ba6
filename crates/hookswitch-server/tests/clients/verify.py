"""The published verifier of Standard Webhooks: reads the secret and then requests, one JSON object a
line, and prints how many it has accepted, of those as they were sent and of those that were changed."""

import base64
import json
import sys

from standardwebhooks import Webhook

webhook = Webhook(sys.stdin.readline().strip())
accepted = {"sent": 0, "changed": 0}
for line in sys.stdin:
    request = json.loads(line)
    try:
        webhook.verify(base64.b64decode(request["body"]), request["headers"], json_parse=False)
        accepted[request["kind"]] += 1
    except Exception:  # it is refused
        pass
print(accepted["sent"], accepted["changed"])
