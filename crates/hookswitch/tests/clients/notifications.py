"""Notifications over a WebSocket by the published Python client, one line each, for a test that reads them.

SERVER=http://... CLIENT_ID=... CLIENT_SECRET=... JWT=... python notifications.py
"""

import asyncio
import json
import os

from ringcentral import SDK
from ringcentral.websocket.events import WebSocketEvents

sdk = SDK(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], os.environ["SERVER"])
sdk.platform().login(jwt=os.environ["JWT"])


def say(line):
    print(line, flush=True)


async def main():
    client = sdk.create_web_socket_client()
    tasks = set()

    def connected(client):
        filters = ["/restapi/v1.0/account/~/telephony/sessions"]
        tasks.add(asyncio.ensure_future(client.create_subscription(filters)))

    client.on(WebSocketEvents.connectionCreated, connected)
    client.on(WebSocketEvents.subscriptionCreated, lambda _: say("ready"))
    client.on(WebSocketEvents.receiveSubscriptionNotification, lambda frame: say(json.dumps(frame[1])))
    await client.create_new_connection()


asyncio.run(main())
