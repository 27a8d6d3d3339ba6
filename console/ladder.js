// One call on one time axis: what hosts and sources said on the left, how each party stood in the middle, what each
// subscriber got on the right.

import { cut, el, endText, exactTime, span, svg, visible } from "./dom.js";

const AXIS = 92;
const LANE = 120;
const PARTY = 108;
const SUBSCRIBER = 92;
const HEAD = 58;
const ROW = 27;
const STEP = 21;
const GAP_MS = 1000;
const SUBSCRIBERS_MAX = 12;

/** How an item is called that is chosen: stays the same when the call is read again. */
export const keyOf = {
  input: (input) => `i${input.position}`,
  event: (event) => `e${event.id}`,
  delivery: (delivery, number) => `d${delivery.subscriptionId} ${delivery.eventId} ${number ?? 0}`,
};

/** The states of deliveries, and how each looks. */
const MARKS = {
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
  streamed: "written to the WebSocket",
  refused: "refused",
  timedOut: "timed out",
  failed: "failed",
  gone: "gone for good",
  expired: "too old to be sent",
  dropped: "dropped",
  waiting: "waits for the next attempt",
  sending: "is being sent",
  queued: "waits for its turn",
  notMatched: "no filter matched",
  before: "before the subscription began",
  after: "after the subscription had ended",
  unknown: "not known",
};

const ms = (text) => new Date(text).getTime();

/** What happened in a call, in order: each with its time, its kind, what it is and how it is said. */
export function itemsOf(call) {
  const items = [];
  for (const input of call.inputs ?? []) {
    items.push({ kind: "input", rank: 0, at: ms(input.arrivalTime ?? input.time), time: input.arrivalTime ?? input.time, position: input.position, key: keyOf.input(input), input });
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
      items.push({ ...common, rank: attempts.length ? 4 : 2, at: attempts.length ? Math.max(ms(last), Math.min(ms(next), Date.now())) : ms(time), time: attempts.length ? next : time, key: keyOf.delivery(delivery), state: delivery.state });
    }
  }
  return items.sort((a, b) => a.at - b.at || a.rank - b.rank || a.position - b.position);
}

/** A start line in a few words. */
export function shortSummary(input) {
  const text = input.summary ?? "";
  const response = /^SIP\/2\.0 (\d{3}) ?(.*)$/.exec(text);
  if (response) return `${response[1]} ${response[2]}`;
  const request = /^([A-Z]+) sips?:([^ ]*) SIP\/2\.0$/.exec(text);
  if (request) return `${request[1]} ${request[2].split(/[@;]/)[0]}`;
  return text;
}

/** An item in a sentence. */
export function sentence(item, call) {
  const { input, event, delivery, attempt } = item;
  if (input) {
    const way = input.src && input.dst ? ` from ${input.src} to ${input.dst}` : input.source?.name ? ` from ${input.source.name}` : "";
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

/** Draws the ladder; `choose` is told of the item that is chosen. */
export function drawLadder(call, { chosen, choose }) {
  const items = itemsOf(call);
  const inputs = items.filter((item) => item.kind === "input");
  const laneOf = lanesOf(inputs);
  const parties = call.parties;
  const subscribers = subscribersOf(items);
  const shown = subscribers.slice(0, SUBSCRIBERS_MAX);
  const left = AXIS;
  const middle = left + Math.max(1, laneOf.size) * LANE + 16;
  const right = middle + parties.length * PARTY + 14;
  const width = right + shown.length * SUBSCRIBER + 12;
  const laneX = (name) => left + laneOf.get(name) * LANE + LANE / 2;
  const partyX = (id) => middle + Math.max(0, parties.findIndex((party) => party.id === id)) * PARTY + 18;
  const subscriberX = (id) => right + shown.indexOf(id) * SUBSCRIBER + 22;

  const rows = placed(items, shown);
  const height = rows.bottom + 26;
  const back = svg("g", { class: "back", "aria-hidden": "true" });
  const front = svg("g", {});
  const groups = new Map();

  for (const name of laneOf.keys()) back.append(line(laneX(name), 0, laneX(name), height, "lifeline"));
  for (const gap of rows.gaps) {
    back.append(line(AXIS - 6, gap.y, width - 8, gap.y, "gap"), label(AXIS - 14, gap.y + 4, span(gap.ms), "gap-label", "end"));
  }
  for (const mark of rows.times) back.append(label(AXIS - 14, mark.y + 4, exactTime(mark.time), "axis", "end"));

  for (const party of parties) bands(back, items, party, partyX(party.id), rows.y, height, call.isOpen);
  for (const id of shown) back.append(line(subscriberX(id), 0, subscriberX(id), height, "lifeline"));

  for (const item of items) {
    if (item.kind === "delivery" && !shown.includes(item.delivery.subscriptionId)) continue;
    const y = rows.y.get(item.key);
    const text = sentence(item, call);
    const group = svg("g", { class: `item ${item.kind}`, role: "button", tabindex: "-1", "aria-label": text, "data-key": item.key, "aria-pressed": String(item.key === chosen) });
    if (item.kind === "input") arrow(group, item.input, y, laneX, laneOf);
    else if (item.kind === "event") eventMark(group, item.event, partyX(item.event.partyId), y);
    else deliveryMark(group, item, subscriberX(item.delivery.subscriptionId), y);
    // What is shown comes first in what is read out, so that people who speak to their screen can name it.
    const seen = group.textContent;
    if (seen && !text.startsWith(seen)) group.setAttribute("aria-label", `${seen}: ${text}`);
    groups.set(item.key, group);
    front.append(group);
  }
  const order = items.map((item) => groups.get(item.key)).filter(Boolean);
  (groups.get(chosen) ?? order[0])?.setAttribute("tabindex", "0");

  const body = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "ladder-body", role: "group", "aria-label": "The call on one time axis. Up and down keys go through it in order." }, back, front);
  const head = svg("svg", { width, height: HEAD, viewBox: `0 0 ${width} ${HEAD}`, class: "ladder-head", "aria-hidden": "true" });
  head.append(label(left + 4, 14, "Signals", "region"), label(middle, 14, "Parties", "region"));
  if (shown.length) head.append(label(right, 14, "Subscribers", "region"));
  for (const name of laneOf.keys()) head.append(label(laneX(name), 44, cut(name, 18), "lane", "middle"));
  for (const party of parties) {
    head.append(label(partyX(party.id) - 8, 36, cut(partyName(call, party.id), 14), "lane"), label(partyX(party.id) - 8, 51, party.direction, "sub"));
  }
  // Addresses often begin alike; then their ends tell them apart.
  const names = shown.map((id) => subscriberName(call, id));
  const begins = names.map((name) => cut(name, 12));
  const shortName = (index) => (begins.filter((begin) => begin === begins[index]).length > 1 && names[index].length > 12 ? `…${names[index].slice(-10)}` : begins[index]);
  for (const [index, id] of shown.entries()) {
    const known = call.subscriptions?.get(id);
    head.append(label(subscriberX(id) - 8, 36, shortName(index), "lane"), label(subscriberX(id) - 8, 51, known?.transport ?? "", "sub"));
  }

  const pick = (group) => group && choose(items.find((item) => item.key === group.dataset.key));
  body.addEventListener("click", (event) => pick(event.target.closest(".item")));
  body.addEventListener("keydown", (event) => {
    const at = order.indexOf(event.target.closest(".item"));
    if (at < 0) return;
    const next = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (next !== undefined && order[next]) {
      event.preventDefault();
      for (const group of order) group.setAttribute("tabindex", "-1");
      order[next].setAttribute("tabindex", "0");
      order[next].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(order[at]);
    }
  });
  const node = el("div", { class: "ladder" }, el("div", { class: "ladder-scroll" }, head, body));
  return { node, items, hidden: subscribers.length - shown.length, mark: (key) => markChosen(order, groups, items, key) };
}

/** Shows which item is chosen, and what belongs to it. */
function markChosen(order, groups, items, key) {
  const item = items.find((item) => item.key === key);
  const related = new Set();
  if (item) {
    const event = item.event;
    for (const other of items) {
      const cause = (event, input) => event.causes?.includes(input.position);
      if (event && other.kind === "input" && cause(event, other.input)) related.add(other.key);
      if (item.kind === "input" && other.kind === "event" && cause(other.event, item.input)) related.add(other.key);
      if (event && other.event?.id === event.id) related.add(other.key);
    }
  }
  for (const group of order) {
    const is_chosen = group.dataset.key === key;
    group.setAttribute("aria-pressed", String(is_chosen));
    group.classList.toggle("related", !is_chosen && related.has(group.dataset.key));
  }
}

function lanesOf(inputs) {
  const lanes = new Map();
  const add = (name) => lanes.has(name) || lanes.set(name, lanes.size);
  for (const { input } of inputs) {
    if (input.src && input.dst) {
      add(input.src);
      add(input.dst);
    } else if (input.kind !== "tick") {
      add(sourceName(input));
    }
  }
  return lanes;
}

function sourceName(input) {
  return input.source?.name || input.kind;
}

/** The subscribers, those first that were told of something. */
function subscribersOf(items) {
  const best = new Map();
  for (const item of items) {
    if (item.kind !== "delivery") continue;
    const rank = item.delivery.matched ? 0 : 1;
    const id = item.delivery.subscriptionId;
    best.set(id, Math.min(rank, best.get(id) ?? 1));
  }
  return [...best.keys()].sort((a, b) => best.get(a) - best.get(b) || (a < b ? -1 : 1));
}

/** Where everything stands: time goes down, and each thing has room for its text. */
function placed(items, subscribers) {
  const y = new Map();
  const used = new Map();
  const gaps = [];
  const times = [];
  let at = 4;
  let before;
  let shownTime;
  for (const item of items) {
    const column = item.kind === "input" ? "input" : item.kind === "event" ? item.event.partyId : item.delivery.subscriptionId;
    if (item.kind === "delivery" && !subscribers.includes(column)) continue;
    const passed = before === undefined ? 0 : item.at - before;
    if (passed >= GAP_MS) {
      at += STEP;
      gaps.push({ y: at, ms: passed });
      at += STEP;
      used.clear();
    } else if (before === undefined) {
      at += STEP;
    }
    before = item.at;
    const last = used.get(column);
    if (item.kind === "input" && last !== undefined) at = Math.max(at, last + ROW);
    else if (last !== undefined && at < last + STEP) at = last + STEP;
    used.set(column, at);
    y.set(item.key, at);
    const text = exactTime(item.time);
    if (text !== shownTime && !(times.length && at - times.at(-1).y < 13)) {
      times.push({ y: at, time: item.time });
      shownTime = text;
    }
  }
  return { y, gaps, times, bottom: at };
}

function line(x1, y1, x2, y2, kind) {
  return svg("line", { x1, y1, x2, y2, class: kind });
}

function label(x, y, text, kind, anchor) {
  return svg("text", { x, y, class: kind, "text-anchor": anchor }, visible(text));
}

function hit(x, y, width, height) {
  return svg("rect", { x, y, width, height, rx: 5, class: "hit" });
}

function arrow(group, input, y, laneX, laneOf) {
  if (input.src && input.dst && laneOf.has(input.src)) {
    const [from, to] = [laneX(input.src), laneX(input.dst)];
    if (from === to) {
      group.append(hit(from - 6, y - 12, LANE, 22), svg("path", { d: `M${from} ${y - 5}h16v9h-12`, class: "wire" }), label(from + 22, y + 4, cut(shortSummary(input), 16), "start-line"));
      return;
    }
    const way = from < to ? 1 : -1;
    const begin = Math.min(from, to);
    const room = Math.abs(to - from);
    group.append(
      hit(begin + 2, y - 15, room - 4, 21),
      line(from, y, to - way * 2, y, "wire"),
      svg("path", { d: `M${to - way * 8} ${y - 4}L${to - way} ${y}L${to - way * 8} ${y + 4}Z`, class: "head" }),
      label(begin + room / 2, y - 4, cut(shortSummary(input), Math.floor((room - 14) / 6.3)), "start-line", "middle"),
    );
    return;
  }
  if (input.kind === "tick") {
    group.append(hit(AXIS - 10, y - 10, 70, 20), svg("circle", { cx: AXIS, cy: y, r: 3.5, class: "tick" }), label(AXIS + 9, y + 4, "timer", "start-line"));
    return;
  }
  const x = laneX(sourceName(input));
  group.append(hit(x - 8, y - 11, LANE - 10, 22), svg("circle", { cx: x, cy: y, r: 4.5, class: "head" }), label(x + 10, y + 4, cut(shortSummary(input), 17), "start-line"));
}

function bands(back, items, party, x, y, height, isOpen) {
  const events = items.filter((item) => item.kind === "event" && item.event.partyId === party.id);
  events.forEach((item, index) => {
    const top = y.get(item.key);
    const next = events[index + 1];
    const is_over = item.event.statusCode === "Disconnected" || item.event.statusCode === "Gone";
    const bottom = next ? y.get(next.key) : is_over ? top + 10 : isOpen ? height : top + 18;
    back.append(svg("rect", { x: x - 6, y: top, width: 12, height: Math.max(2, bottom - top), rx: is_over ? 4 : 0, class: "band", "data-state": item.event.statusCode }));
  });
}

function eventMark(group, event, x, y) {
  group.append(
    hit(x - 11, y - 10, PARTY - 12, 20),
    svg("circle", { cx: x, cy: y, r: 6.5, class: "event-mark", "data-state": event.statusCode }),
    label(x + 13, y + 4, event.statusCode, "status"),
  );
  if (event.inferred) group.append(svg("circle", { cx: x, cy: y, r: 2, class: "inferred" }));
}

function deliveryMark(group, item, x, y) {
  const look = MARKS[item.state] ?? "none";
  group.dataset.look = look;
  group.append(hit(x - 11, y - 10, SUBSCRIBER - 8, 20));
  if (look === "good") group.append(svg("circle", { cx: x, cy: y, r: 6.5, class: "mark" }), svg("path", { d: `M${x - 3} ${y}l2.2 2.4l4-4.6`, class: "sign" }));
  else if (look === "bad") group.append(svg("rect", { x: x - 6.5, y: y - 6.5, width: 13, height: 13, rx: 3, class: "mark" }), svg("path", { d: `M${x - 2.8} ${y - 2.8}l5.6 5.6m0-5.6l-5.6 5.6`, class: "sign" }));
  else if (look === "waiting") group.append(svg("circle", { cx: x, cy: y, r: 6, class: "mark ring" }), svg("path", { d: `M${x} ${y - 3}v3.2l2.2 1.4`, class: "hand" }));
  else group.append(svg("circle", { cx: x, cy: y, r: 3, class: "mark hollow" }));
  const { attempt, state } = item;
  const text = attempt ? (attempt.status ? String(attempt.status) : STATES[attempt.outcome] ?? attempt.outcome) : look === "none" ? (state === "notMatched" ? "no match" : "") : look === "good" ? "" : state;
  if (text) group.append(label(x + 12, y + 4, cut(attempt && attempt.number > 1 ? `${text} · ${attempt.number}` : text, 14), "status"));
}
