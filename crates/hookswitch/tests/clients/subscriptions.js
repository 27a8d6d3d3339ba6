// Webhooks by the SDK of applications, and a call followed by the call-control library, as both are
// published.
//
//   SERVER=http://… CLIENT_ID=… CLIENT_SECRET=… JWT=… ADMIN=… node subscriptions.js
const assert = require('node:assert');
const http = require('node:http');
const { once } = require('node:events');
const { SDK } = require('@ringcentral/sdk');
const { RingCentralCallControl } = require('ringcentral-call-control');
const { Webhook } = require('standardwebhooks');

const { SERVER: server, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, JWT: jwt, ADMIN: admin } = process.env;
const path = '/restapi/v1.0/subscription';
const secret = `whsec_${Buffer.from('a secret that nobody guesses').toString('base64')}`;

/// A receiver of webhooks, as samples for this API are written; `take` is given each notification.
async function receiver(take) {
  const listener = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const token = request.headers['validation-token'];
    if (token) {
      response.setHeader('Validation-Token', token);
    } else {
      const body = Buffer.concat(chunks);
      assert.equal(request.headers['verification-token'], 'open sesame');
      new Webhook(secret).verify(body, request.headers);
      take(JSON.parse(body));
    }
    response.end();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return listener;
}

/// Tells of a leg by HTTP, as a switch without SIP does.
async function tell(signals) {
  const answer = await fetch(`${server}/ingest/v1/signals`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${admin}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ signals }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

async function main() {
  const sdk = new SDK({ server, clientId, clientSecret });
  const platform = sdk.platform();
  await platform.login({ jwt });
  const control = new RingCentralCallControl({ sdk });
  if (!control.ready) {
    await new Promise((resolve) => control.once('initialized', resolve));
  }
  assert.equal(control.sessions.length, 0);

  const sequences = [];
  let wake = () => {};
  const listener = await receiver((notification) => {
    sequences.push(notification.body.sequence);
    control.onNotificationEvent(notification);
    wake();
  });
  const until = async (found) => {
    while (!found()) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  };

  const created = await (
    await platform.post(path, {
      eventFilters: ['/restapi/v1.0/account/~/extension/~/telephony/sessions'],
      deliveryMode: {
        transportType: 'WebHook',
        address: `http://127.0.0.1:${listener.address().port}/hook`,
        verificationToken: 'open sesame',
        signingSecret: secret,
      },
      expiresIn: 3600,
    })
  ).json();
  assert.equal(created.status, 'Active');
  assert.equal(created.expiresIn, 3599);
  assert.equal(created.deliveryMode.signingSecret, undefined);

  // The library follows a call from 102 by what the webhook is sent.
  const caller = { number: '102' };
  await tell([
    { id: '1', leg: 'a', kind: 'created', direction: 'outbound', callee: '101', caller },
    { id: '2', leg: 'b', kind: 'created', direction: 'inbound', of: 'a', callee: '101', caller },
    { id: '3', leg: 'b', kind: 'ringing' },
  ]);
  await until(() => control.sessions.some((session) => session.party.status.code === 'Proceeding'));
  const [session] = control.sessions;
  const seen = [];
  session.on('status', ({ party }) => seen.push(party.status.code));
  assert.equal(session.party.direction, 'Inbound');
  assert.equal(session.party.from.phoneNumber, '102');
  await tell([{ id: '4', leg: 'b', kind: 'answered' }]);
  await until(() => session.party.status.code === 'Answered');
  await tell([{ id: '5', leg: 'b', kind: 'held' }]);
  await until(() => session.party.status.code === 'Hold');
  await tell([{ id: '6', leg: 'b', kind: 'resumed' }]);
  await until(() => session.party.status.code === 'Answered');
  await tell([{ id: '7', leg: 'b', kind: 'ended' }]);
  await until(() => control.sessions.length === 0);
  assert.deepEqual(seen, ['Answered', 'Hold', 'Answered', 'Disconnected']);
  assert.deepEqual(sequences, [...sequences].sort((a, b) => a - b));

  const at = `${path}/${created.id}`;
  const read = await (await platform.get(at)).json();
  assert.deepEqual(read, { ...created, expiresIn: read.expiresIn });
  const list = await (await platform.get(path)).json();
  assert.deepEqual(list.records.map(({ id }) => id), [created.id]);
  const renewed = await (await platform.post(`${at}/renew`)).json();
  assert.equal(renewed.expiresIn, 3599);
  assert.ok(renewed.expirationTime > created.expirationTime);
  const updated = await (
    await platform.put(at, { eventFilters: ['/restapi/v1.0/account/~/telephony/sessions'], expiresIn: 60 })
  ).json();
  assert.equal(updated.expiresIn, 59);
  assert.match(updated.eventFilters[0], /^\/restapi\/v1.0\/account\/\d+\/telephony\/sessions$/);
  assert.equal((await platform.delete(at)).status, 204);
  await assert.rejects(platform.get(at), (error) => error.response.status === 404 && /subscriptionId/.test(error.message));
  await assert.rejects(
    platform.post(path, { eventFilters: ['/nonsense'], deliveryMode: { transportType: 'WebHook', address: server } }),
    (error) => error.response.status === 400 && error.message.includes('/nonsense'),
  );
  listener.close();
  listener.closeAllConnections();
  console.log('good');
}

setTimeout(() => {
  console.error('nothing happens any more');
  process.exit(1);
}, 30_000).unref();

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
