// Answers and notifications of a server, held against the types of the vendor's SDK.
//
//   SERVER=http://… CLIENT_ID=… CLIENT_SECRET=… JWT=… ADMIN=… node shapes.js
//
// Each field must be one that the type has, of a type that it may have. What the types lack is named below, and
// in docs/compatibility.md; an exception that is not needed any more fails as well.
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');

const { SERVER: server, CLIENT_ID: id, CLIENT_SECRET: secret, JWT: jwt, ADMIN: admin } = process.env;
const account = '/restapi/v1.0/account/~';
const own = `${account}/extension/~`;

/** Fields that are told though the types lack them; docs/compatibility.md says why. */
const exceptions = new Set([
  'ExtensionTelephonySessionsEvent.body.parties.from.deviceId',
  'ExtensionTelephonySessionsEvent.body.parties.status.mobilePickupData.srvLvl',
  'DetailedExtensionPresenceWithSIPEvent.ownerId',
  'GetAccountInfoResponse.name',
  'AccountPhoneNumberList.uri',
  'AccountPhoneNumberList.navigation',
  'DirectoryResource.uri',
  'DirectoryResource.navigation',
  'SubscriptionListResource.navigation',
  'SubscriptionListResource.paging',
]);

/** What is read, and the type of the SDK that answers have. */
const answers = [
  ['/restapi', 'ApiVersionsList'],
  ['/restapi/v1.0', 'ApiVersionInfo'],
  [account, 'GetAccountInfoResponse'],
  [own, 'GetExtensionInfoResponse'],
  [`${account}/extension`, 'GetExtensionListResponse'],
  [`${own}/device`, 'GetExtensionDevicesResponse'],
  [`${own}/presence?detailedTelephonyState=true&sipData=true`, 'PresenceInfoResponse'],
  [`${account}/presence`, 'AccountPresenceInfo'],
  [`${own}/features`, 'FeatureList'],
  [`${own}/authz-profile`, 'AuthProfileResource'],
  [`${own}/caller-id`, 'ExtensionCallerIdInfo'],
  [`${own}/forwarding-number`, 'GetExtensionForwardingNumberListResponse'],
  [`${own}/phone-number`, 'GetExtensionPhoneNumbersResponse'],
  [`${account}/phone-number`, 'AccountPhoneNumbers'],
  ['/restapi/v2/accounts/~/phone-numbers', 'AccountPhoneNumberList'],
  [`${account}/directory/entries`, 'DirectoryResource'],
  [`${account}/service-info`, 'AccountServiceInfo'],
  [`${account}/call-queues`, 'CallQueueList'],
  [`${own}/active-calls`, 'CallLogResponse'],
  [`${account}/active-calls`, 'CallLogResponse'],
  [`${own}/call-log?view=Detailed`, 'CallLogResponse'],
  [`${account}/call-log?view=Detailed`, 'CallLogResponse'],
  [`${own}/call-log-sync`, 'CallLogSyncResponse'],
  ['/restapi/v1.0/subscription', 'SubscriptionListResource'],
];

/** The families of notifications, by the end of their path, and their types. */
const notifications = {
  sessions: 'ExtensionTelephonySessionsEvent',
  presence: 'DetailedExtensionPresenceWithSIPEvent',
};

/** The types of the SDK. */
class Types {
  constructor(names) {
    const modules = process.env.NODE_PATH;
    const file = path.join(modules, 'shapes.mts');
    const imports = names.map((name) => `import type ${name} from '@rc-ex/core/definitions/${name}';`);
    const uses = names.map((name) => `export type Of${name} = ${name};`);
    fs.writeFileSync(file, [...imports, ...uses].join('\n'));
    const options = { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022, strict: true, noEmit: true, skipLibCheck: true, types: [] };
    const program = ts.createProgram([file], options);
    const source = program.getSourceFile(file);
    const wrong = program.getSemanticDiagnostics(source).map((one) => ts.flattenDiagnosticMessageText(one.messageText, ' '));
    assert.deepEqual(wrong, []);
    this.checker = program.getTypeChecker();
    this.source = source;
  }

  named(name) {
    const declared = this.source.statements.find((one) => one.name?.text === `Of${name}`);
    return this.checker.getTypeAtLocation(declared.name);
  }

  /** The places where a value is not what a type says. */
  check(value, type, place) {
    const present = this.checker.getNonNullableType(type);
    if (present.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return [];
    const kinds = present.isUnion() ? present.types : [present];
    const has = (flag) => kinds.some((kind) => kind.flags & flag);
    if (Array.isArray(value)) {
      const list = kinds.find((kind) => this.checker.isArrayType(kind));
      if (!list) return [place];
      const [element] = this.checker.getTypeArguments(list);
      return value.flatMap((one) => this.check(one, element, place));
    }
    switch (typeof value) {
      case 'string':
        return has(ts.TypeFlags.String) || kinds.some((kind) => kind.isStringLiteral() && kind.value === value) ? [] : [place];
      case 'number':
        return has(ts.TypeFlags.Number | ts.TypeFlags.NumberLiteral) ? [] : [place];
      case 'boolean':
        return has(ts.TypeFlags.BooleanLike) ? [] : [place];
    }
    const object = kinds.find((kind) => kind.flags & ts.TypeFlags.Object);
    if (value === null || !object) return [place];
    return Object.entries(value).flatMap(([key, field]) => {
      const property = this.checker.getPropertyOfType(object, key);
      if (!property) return [`${place}.${key}`];
      return this.check(field, this.checker.getTypeOfSymbol(property), `${place}.${key}`);
    });
  }
}

async function json(url, options) {
  const response = await fetch(server + url, options);
  assert.equal(response.status, 200, `${url}: ${await response.clone().text()}`);
  return response.json();
}

/** Notifications of a call that rings, is answered and ends, and of one that is missed. */
async function told(headers) {
  const filters = [`${own}/telephony/sessions?sipData=true`, `${own}/presence?detailedTelephonyState=true&sipData=true`,
    `${own}/missed-calls`, `${own}/start-ring`, `${own}/stop-ring`];
  const query = filters.map((filter) => `eventFilters=${encodeURIComponent(filter)}`).join('&');
  const response = await fetch(`${server}/events?lastEventId=0&${query}`, { headers });
  assert.equal(response.status, 200);
  const all = [];
  let text = '';
  for await (const part of response.body) {
    text += Buffer.from(part).toString();
    const lines = text.split('\n');
    text = lines.pop();
    all.push(...lines.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6))));
    if (all.some((one) => one.event.endsWith('/missed-calls'))) break;
  }
  return all;
}

async function call() {
  const leg = (name, kind, more) => ({ id: `${name}${kind}`, leg: name, kind, ...more });
  const caller = { number: '102' };
  const offered = (a, b) => [
    leg(a, 'created', { direction: 'outbound', callee: '101', caller }),
    leg(b, 'created', { direction: 'inbound', of: a, callee: '101', caller }),
    leg(b, 'ringing'),
  ];
  const signals = [...offered('a', 'b'), leg('b', 'ended', { cause: 'cancelled' }), leg('a', 'ended', { cause: 'cancelled' }),
    ...offered('c', 'd'), leg('d', 'answered'), leg('c', 'answered')];
  await json('/ingest/v1/signals', { method: 'POST', body: JSON.stringify({ signals }),
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' } });
}

async function main() {
  const grant = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: jwt });
  const basic = Buffer.from(`${id}:${secret}`).toString('base64');
  const token = await json('/restapi/oauth/token', { method: 'POST', body: grant, headers: { authorization: `Basic ${basic}` } });
  const headers = { authorization: `Bearer ${token.access_token}` };
  await call();
  const names = [...new Set([...answers.map(([, name]) => name), ...Object.values(notifications), 'TokenInfo'])];
  const types = new Types(names);
  const found = new Set(types.check(token, types.named('TokenInfo'), 'TokenInfo'));
  const events = await told(headers);
  for (const event of events) {
    const family = event.event.split('?')[0].split('/').pop();
    const name = notifications[family];
    if (name) types.check(event, types.named(name), name).forEach((one) => found.add(one));
  }
  assert.ok(Object.keys(notifications).every((family) => events.some((one) => one.event.split('?')[0].endsWith(family))));
  for (let tries = 0; ; tries += 1) {
    const { records } = await json(`${own}/active-calls`, { headers });
    if (records.length > 0) break;
    assert.ok(tries < 100, 'the call does not go on');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  for (const [url, name] of answers) {
    types.check(await json(url, { headers }), types.named(name), name).forEach((one) => found.add(one));
  }
  const beyond = [...found].filter((one) => !exceptions.has(one));
  const needless = [...exceptions].filter((one) => !found.has(one));
  assert.equal(beyond.length, 0, `told beyond the types:\n${beyond.join('\n')}`);
  assert.equal(needless.length, 0, `exceptions that are not needed:\n${needless.join('\n')}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
