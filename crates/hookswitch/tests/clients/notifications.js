// Notifications over a WebSocket by the published clients, one line each, for a test that reads them.
//
//   SERVER=http://… CLIENT_ID=… CLIENT_SECRET=… JWT=… CLIENT=subscriptions|rc-ex [BUSY=300] node notifications.js
const { SERVER: server, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, JWT: jwt, CLIENT: client } = process.env;
const filters = ['/restapi/v1.0/account/~/telephony/sessions'];
const busy = Number(process.env.BUSY ?? 0);

// An event loop that is blocked again and again, so that frames are read together.
if (busy > 0) {
  setInterval(() => {
    for (const until = Date.now() + busy; Date.now() < until; );
  }, 20);
}

function print({ uuid, subscriptionId, body }) {
  const party = body.parties[0];
  console.log(JSON.stringify({ uuid, subscriptionId, body, status: party.status.code }));
}

async function bySubscriptions() {
  const { SDK } = require('@ringcentral/sdk');
  const { Subscriptions } = require('@ringcentral/subscriptions');
  const sdk = new SDK({ server, clientId, clientSecret });
  await sdk.platform().login({ jwt });
  const subscription = new Subscriptions({ sdk }).createSubscription();
  subscription.on(subscription.events.notification, print);
  await subscription.setEventFilters(filters).register();
}

async function byExtensible() {
  const RingCentral = require('@rc-ex/core').default;
  const WebSocketExtension = require('@rc-ex/ws').default;
  const rc = new RingCentral({ server, clientId, clientSecret });
  await rc.authorize({ jwt });
  const extension = new WebSocketExtension({ restOverWebSocket: true });
  await rc.installExtension(extension);
  await extension.subscribe(filters, print);
  // Over the socket: the subscription is there, and what is not there is an error with a message.
  const { data } = await rc.get('/restapi/v1.0/subscription', { page: 1 });
  if (data.records.length !== 1) throw new Error(JSON.stringify(data));
  const error = await rc.get('/restapi/v1.0/account/1').then(() => undefined, (reason) => reason);
  if (error?.response?.status !== 404) throw new Error(`${error}`);
}

(client === 'rc-ex' ? byExtensible() : bySubscriptions()).then(
  () => console.log('ready'),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
