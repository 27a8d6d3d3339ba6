// Prints the calls of a server as they happen. Needs @ringcentral/sdk and @ringcentral/subscriptions.
const { SDK } = require('@ringcentral/sdk');
const { Subscriptions } = require('@ringcentral/subscriptions');
const { SERVER = 'http://127.0.0.1:8080', CLIENT_ID, CLIENT_SECRET, JWT } = process.env;
const sdk = new SDK({ server: SERVER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET });
sdk.platform().login({ jwt: JWT }).then(async () => {
  const subscription = new Subscriptions({ sdk }).createSubscription();
  subscription.on(subscription.events.notification, ({ body }) => console.log(body.sequence, body.parties[0].status.code));
  await subscription.setEventFilters(['/restapi/v1.0/account/~/telephony/sessions']).register();
  console.log('ready');
});
