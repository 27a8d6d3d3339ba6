// The published verifier of Standard Webhooks: reads the secret and then requests, one JSON object a
// line, and prints how many it has accepted, of those as they were sent and of those that were changed.
const readline = require('node:readline');
const { Webhook } = require('standardwebhooks');

async function main() {
  let webhook;
  const accepted = { sent: 0, changed: 0 };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (!webhook) {
      webhook = new Webhook(line);
      continue;
    }
    const { kind, headers, body } = JSON.parse(line);
    try {
      webhook.verify(Buffer.from(body, 'base64'), headers, { jsonParse: false });
      accepted[kind] += 1;
    } catch (error) {
      // It is refused.
    }
  }
  console.log(`${accepted.sent} ${accepted.changed}`);
}

main();
