// A test in JavaScript: an application that counts who is on the phone, against a server of its own.
//
// Run it with `node --test calls.test.mjs`; it needs hookswitch in PATH, and nothing but Node 18 or later.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

// What is to be tested: it knows who is on the phone.
const talking = new Set();
const application = createServer(async (request, answer) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const token = request.headers['validation-token'];
  answer.writeHead(200, token ? { 'Validation-Token': token } : {}).end();
  if (chunks.length === 0) return;
  const [party] = JSON.parse(Buffer.concat(chunks)).body.parties;
  const { phoneNumber } = party.direction === 'Inbound' ? party.to : party.from;
  if (party.status.code === 'Answered') talking.add(phoneNumber);
  if (['Disconnected', 'Gone'].includes(party.status.code)) talking.delete(phoneNumber);
});

let hookswitch;
let server;

const trigger = (...words) =>
  promisify(execFile)('hookswitch', ['trigger', ...words, '--server', server.server, '--token', server.admin_token]);

async function waitFor(condition, what) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`waited in vain for ${what}`);
}

before(async () => {
  hookswitch = spawn('hookswitch', ['serve', '--ephemeral'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(hookswitch.stdout), 'line');
  server = JSON.parse(line);
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');

  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: server.jwt,
  });
  const basic = Buffer.from(`${server.client_id}:${server.client_secret}`).toString('base64');
  const logIn = await fetch(`${server.server}/restapi/oauth/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${basic}` },
    body: form,
  });
  const { access_token } = await logIn.json();
  const subscribed = await fetch(`${server.server}/restapi/v1.0/subscription`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${access_token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      eventFilters: ['/restapi/v1.0/account/~/telephony/sessions'],
      deliveryMode: { transportType: 'WebHook', address: `http://127.0.0.1:${application.address().port}/` },
    }),
  });
  assert.equal(subscribed.status, 200);
});

after(async () => {
  application.closeAllConnections();
  application.close();
  hookswitch.kill();
  await once(hookswitch, 'exit');
});

test('a call that goes on is seen, and is over when it has ended', async () => {
  await trigger('answered', '--from', '+12125550147', '--to', '101', '--status', 'Answered');
  await waitFor(() => talking.has('101'), 'the answer');
  await trigger('answered', '--from', '+12125550100', '--to', '102');
  await waitFor(() => !talking.has('102'), 'the end');
  assert.ok(talking.has('101'), 'the other goes on');
});

test('who transfers a call is not on the phone any more, and who takes it is', async () => {
  await trigger('transfer', '--to', '103', '--third', '104', '--talk', '1');
  await waitFor(() => !talking.has('103') && !talking.has('104'), 'the end of the transferred call');
});
