// One operation of the call-control library, as it is published, on the call of the one who asks.
//
//   SERVER=http://… CLIENT_ID=… CLIENT_SECRET=… JWT=… node control.js OPERATION [ARGUMENT as JSON]…
//
// Prints what came of it, as JSON: `{"status": …}` of the own party, or `{"error": …}`.
const { SDK } = require('@ringcentral/sdk');
const { RingCentralCallControl } = require('ringcentral-call-control');

const { SERVER: server, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, JWT: jwt } = process.env;
const [operation, ...given] = process.argv.slice(2);
const args = given.map((text) => JSON.parse(text));

async function main() {
  const sdk = new SDK({ server, clientId, clientSecret });
  await sdk.platform().login({ jwt });
  const control = new RingCentralCallControl({ sdk });
  if (!control.ready) {
    await new Promise((resolve) => control.once('initialized', resolve));
  }
  const begun = Date.now();
  try {
    let session;
    let answer;
    if (operation === 'createCall') {
      session = await control.createCall(...args);
    } else if (operation === 'createConference') {
      session = await control.createConference();
    } else {
      [session] = control.sessions;
      answer = await session[operation](...args);
    }
    const { status, muted } = session.party || {};
    console.log(JSON.stringify({ session: session.id, status, muted, answer, took: Date.now() - begun }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, took: Date.now() - begun }));
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
