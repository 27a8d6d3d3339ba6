// The SDK of applications and the call-control library, as they are published, against a server.
//
//   SERVER=http://… CLIENT_ID=… CLIENT_SECRET=… JWT=… node sdk.js
const assert = require('node:assert');
const { SDK } = require('@ringcentral/sdk');
const { RingCentralCallControl } = require('ringcentral-call-control');

const { SERVER: server, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, JWT: jwt } = process.env;
const own = '/restapi/v1.0/account/~/extension/~';

async function main() {
  const sdk = new SDK({ server, clientId, clientSecret });
  const platform = sdk.platform();
  await platform.login({ jwt });
  const first = await platform.auth().data();
  const extension = await (await platform.get(own)).json();
  assert.equal(String(extension.id), first.owner_id);

  // Those that come at once share one refresh.
  await Promise.all([platform.refresh(), platform.refresh()]);
  const second = await platform.auth().data();
  assert.notEqual(second.access_token, first.access_token);
  assert.equal((await platform.get(own)).status, 200);

  // A token that is good for nothing any more is refreshed on the way, with lifetimes of -1.
  await platform.auth().setData({ ...second, access_token: first.access_token });
  assert.equal((await platform.get(own)).status, 200);

  // The library finds the call that goes on, by presence and session.
  const control = new RingCentralCallControl({ sdk });
  if (!control.ready) {
    await new Promise((resolve) => control.once('initialized', resolve));
  }
  assert.equal(control.sessions.length, 1);
  const [session] = control.sessions;
  assert.equal(session.party.status.code, 'Answered');
  assert.equal(session.party.extensionId, String(extension.id));
  assert.equal(session.sessionId.length > 0, true);
  assert.equal(control.devices.length, 1);
  await assert.rejects(session.hold(), (error) => error.message.includes('does not control them'));

  await platform.logout();
  const revoked = new SDK({ server, clientId, clientSecret }).platform();
  await revoked.auth().setData(second);
  await assert.rejects(revoked.get(own), /./);

  await assert.rejects(revoked.login({ jwt: `${jwt}x` }), /signature/);
  console.log('good');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
