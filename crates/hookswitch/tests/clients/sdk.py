"""The Python SDK of applications, as it is published, against a server.

SERVER=http://... CLIENT_ID=... CLIENT_SECRET=... JWT=... python sdk.py
"""

import os

from ringcentral import SDK
from ringcentral.http.api_exception import ApiException

OWN = "/restapi/v1.0/account/~/extension/~"

sdk = SDK(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], os.environ["SERVER"])
platform = sdk.platform()
platform.login(jwt=os.environ["JWT"])
first = platform.auth().data()
own = platform.get(OWN).json()
assert str(own.id) == first["owner_id"], own
platform.refresh()
second = platform.auth().data()
assert second["access_token"] != first["access_token"]
assert platform.get(OWN).json().extensionNumber == "101"
assert isinstance(platform.get(OWN + "/presence").json_dict()["activeCalls"], list)
platform.logout()
platform.auth().set_data(second)
try:
    platform.get(OWN)
    raise SystemExit("a token that was revoked is taken")
except ApiException as error:
    print("good:", error)
