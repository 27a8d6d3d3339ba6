// What happened in a call, in order and in words: what the ladder draws, the list tells and the text of a copy says.

import { cut, endText, visible } from "./dom.js";

/** How an item is called that is chosen: stays the same when the call is read again. */
export const keyOf = {
  input: (input) => `i${input.position}`,
  event: (event) => `e${event.id}`,
  delivery: (delivery, number) => `d${delivery.subscriptionId} ${delivery.eventId} ${number ?? 0}`,
};

/** The states of deliveries, and how each looks. */
export const MARKS = {
  delivered: "good",
  streamed: "good",
  refused: "bad",
  timedOut: "bad",
  failed: "bad",
  gone: "bad",
  expired: "bad",
  dropped: "bad",
  waiting: "waiting",
  sending: "waiting",
  queued: "waiting",
  notMatched: "none",
  before: "none",
  after: "none",
  unknown: "none",
};

/** The words of the states, for people. */
export const STATES = {
  delivered: "delivered",
  streamed: "sent over the WebSocket",
  refused: "refused",
  timedOut: "timed out",
  failed: "failed",
  gone: "refused for good",
  expired: "expired before it could be sent",
  dropped: "dropped",
  waiting: "waiting for the next attempt",
  sending: "being sent",
  queued: "queued",
  notMatched: "no filter matched",
  before: "before the subscription began",
  after: "after the subscription had ended",
  unknown: "unknown",
};

const ms = (text) => new Date(text).getTime();

/** What happened in a call, in order: each with its time, its kind, what it is and how it is said. */
export function itemsOf(call) {
  const items = [];
  for (const input of call.inputs ?? []) {
    const time = input.arrivalTime ?? input.time;
    items.push({ kind: "input", rank: 0, at: ms(time), time, position: input.position, key: keyOf.input(input), input });
  }
  const events = new Map();
  for (const event of call.events ?? []) {
    events.set(event.id, event);
    const time = event.storedTime ?? event.time;
    items.push({ kind: "event", rank: 1, at: ms(time), time, position: event.position, key: keyOf.event(event), event });
  }
  for (const delivery of call.deliveries ?? []) {
    const event = events.get(delivery.eventId);
    if (!event) continue;
    const time = event.storedTime ?? event.time;
    const common = { kind: "delivery", position: event.position, delivery, event };
    const attempts = delivery.attempts ?? [];
    for (const attempt of attempts) {
      const number = `${attempt.isReplay ? "r" : ""}${attempt.number} ${attempt.time}`;
      items.push({ ...common, rank: 3, at: ms(attempt.time), time: attempt.time, key: keyOf.delivery(delivery, number), attempt, state: attempt.outcome });
    }
    if (!attempts.length || MARKS[delivery.state] === "waiting" || delivery.state === "expired" || delivery.state === "dropped") {
      const last = attempts.length ? attempts.at(-1).time : time;
      const next = delivery.nextAttemptTime ?? last;
      const at = attempts.length ? Math.max(ms(last), Math.min(ms(next), Date.now())) : ms(time);
      items.push({ ...common, rank: attempts.length ? 4 : 2, at, time: attempts.length ? next : time, key: keyOf.delivery(delivery), state: delivery.state });
    }
  }
  return items.sort((a, b) => a.at - b.at || a.rank - b.rank || a.position - b.position);
}

/** A call with others in the same picture; each thing once. */
export function withOthers(call, others) {
  const once = (lists, key) => [...new Map(lists.flat().map((one) => [key(one), one])).values()];
  const all = [call, ...others];
  return {
    ...call,
    isOpen: all.some((one) => one.isOpen),
    shown: all.map((one) => one.telephonySessionId),
    parties: all.flatMap((one) => one.parties.map((party) => ({ ...party, session: one.telephonySessionId, isOpen: one.isOpen }))),
    inputs: once(all.map((one) => one.inputs ?? []), (input) => input.position).sort((a, b) => a.position - b.position),
    events: all.flatMap((one) => one.events ?? []),
    hosts: once(all.map((one) => one.hosts ?? []), (host) => host.address),
    deliveries: all.flatMap((one) => one.deliveries ?? []),
    deliveriesLeftOut: all.reduce((sum, one) => sum + (one.deliveriesLeftOut ?? 0), 0),
  };
}

/** The query that names an item in the address of its call. */
export function queryOf(item) {
  if (!item) return {};
  if (item.input) return { message: String(item.input.position) };
  if (item.kind === "event") return { event: item.event.id };
  return { delivery: `${item.delivery.subscriptionId} ${item.event.id}`, ...(item.attempt && { attempt: item.attempt.time }) };
}

/** The item that the query of an address names. */
export function namedBy(query, items) {
  const message = query?.get("message");
  const delivery = query?.get("delivery");
  const event = query?.get("event");
  if (message) return items.find((item) => item.input && String(item.input.position) === message);
  if (delivery) {
    const found = items.filter((item) => item.delivery && `${item.delivery.subscriptionId} ${item.event.id}` === delivery);
    return found.find((item) => item.attempt?.time === query.get("attempt")) ?? found.at(-1);
  }
  return event ? items.find((item) => item.kind === "event" && item.event.id === event) : undefined;
}

/** A start line in a few words. */
export function shortSummary(input) {
  const text = input.summary ?? "";
  const response = /^SIP\/2\.0 (\d{3}) ?(.*)$/.exec(text);
  if (response) return `${response[1]} ${response[2]}`;
  // An address without a user names a host, which stands above the column already.
  const request = /^([A-Z]+) (?:(?:sips?:([^ @]*)@|tel:([^ ;]*))\S*|\S+) SIP\/2\.0$/.exec(text);
  if (request) return `${request[1]} ${(request[2] ?? request[3] ?? "").split(";")[0]}`.trim();
  return text;
}

/** A host as people call it: its name, or else its address. */
export function hostName(call, address) {
  return call.hosts?.find((host) => host.address === address)?.name ?? address;
}

/** An item in a sentence. */
export function sentence(item, call) {
  const { input, event, delivery, attempt } = item;
  if (input) {
    const way = input.src && input.dst ? ` from ${hostName(call, input.src)} to ${hostName(call, input.dst)}` : input.source?.name ? ` from ${input.source.name}` : "";
    return visible(`${shortSummary(input) || input.kind}${way}`);
  }
  if (delivery) {
    const to = `${event.statusCode} of ${partyName(call, event.partyId)} to ${subscriberName(call, delivery.subscriptionId)}`;
    if (attempt) return visible(`Attempt ${attempt.number}: ${STATES[attempt.outcome] ?? attempt.outcome}${attempt.status ? ` (${attempt.status})` : ""}, ${to}`);
    return visible(`${to}: ${STATES[item.state] ?? item.state}`);
  }
  return visible(eventTitle(call, event));
}

/** What happened to whom. */
export function eventTitle(call, event) {
  return `${event.statusCode} of ${partyName(call, event.partyId)}${event.reason ? ` (${event.reason})` : ""}`;
}

/** A party as people call it. */
export function partyName(call, id) {
  const party = call.parties.find((party) => party.id === id);
  if (!party) return `party ${id.split("-").at(-1)}`;
  return endText(party.direction === "Outbound" ? party.from : party.to);
}

/** A subscriber as people call it. */
export function subscriberName(call, id) {
  const known = call.subscriptions?.get(id);
  if (known?.address) {
    try {
      const url = new URL(known.address);
      return `${url.host}${url.pathname === "/" ? "" : url.pathname}`;
    } catch {
      return known.address;
    }
  }
  const transport = known?.transport ?? call.deliveries.find((one) => one.subscriptionId === id)?.transport;
  return transport === "WebSocket" ? `WebSocket ${id.slice(0, 8)}` : id.slice(0, 8);
}

/** A call in a few words: who calls whom. */
export function callName(call) {
  const outbound = call.parties.find((party) => party.direction === "Outbound") ?? call.parties[0];
  const inbound = call.parties.filter((party) => party.direction === "Inbound").at(-1);
  return cut(`${endText(outbound?.from)} → ${endText(inbound?.to ?? outbound?.to)}`, 60);
}
