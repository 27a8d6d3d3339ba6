// One call on one time axis: what hosts and sources said on the left, how each party stood in the middle, what each
// subscriber got on the right. Times and heads stay where they are while the rest moves.

import { columnsOf, sourceName } from "./columns.js";
import { offset, sinceTime, zone } from "./clock.js";
import { cut, el, exactTime, span, svg, visible } from "./dom.js";
import { MARKS, STATES, hostName, partyName, sentence, shortSummary, subscriberName } from "./story.js";

const HEAD = 66;
const ROW = 27;
const STEP = 22;
const TWO_LINES = 36;
const GAP_MS = 1000;
/** Pixels of a character, for texts that are cut. */
const CHARACTER = 6.4;
const BOLD = 7.4;

/** The words for an event on its mark: the state, and why. */
function eventLines(call, event) {
  const party = call.parties.find((party) => party.id === event.partyId);
  const missed = party?.missedCall && event.statusCode === "Disconnected" ? "missed" : undefined;
  return [event.statusCode, [event.reason, missed].filter(Boolean).join(", ")].filter(Boolean);
}

/**
 * Draws the ladder into so many pixels. `choose` is told of the item that is chosen, `fold` of a host and whether it is
 * to be folded.
 */
export function drawLadder(call, items, { room, chosen, choose, folds, fold, allSubscribers, since }) {
  const columns = columnsOf(call, items, room, { folds, allSubscribers });
  const { lanes, laneOf, parties, subscribers, width, axis: axisWidth } = columns;
  const laneX = (name) => laneOf.get(name).x;
  const shownItems = items.filter((item) => item.kind !== "delivery" || subscribers.x.has(item.delivery.subscriptionId));
  const start = items[0]?.at ?? 0;
  const timeOf = (text) => (since ? sinceTime(text, start) : exactTime(text));
  const rows = placed(call, shownItems, timeOf);
  const height = rows.bottom + 30;
  const back = svg("g", { class: "back", "aria-hidden": "true" });
  const front = svg("g", {});
  const groups = new Map();

  for (const lane of lanes) {
    if (lane.isFolded) back.append(svg("rect", { x: lane.x - lane.width / 2 + 5, y: 0, width: lane.width - 10, height, class: "fold-lane" }));
    back.append(line(lane.x, 0, lane.x, height, "lifeline"));
  }
  back.append(line(parties.begin - 8, 0, parties.begin - 8, height, "divider"));
  if (subscribers.ids.length) back.append(line(subscribers.begin - 8, 0, subscribers.begin - 8, height, "divider"));
  for (const gap of rows.gaps) back.append(line(0, gap.y, width - 8, gap.y, "gap"));
  for (const party of call.parties) bands(back, items, party, parties.x.get(party.id), rows.y, height, party.isOpen ?? call.isOpen);
  for (const x of subscribers.x.values()) back.append(line(x, 0, x, height, "lifeline"));

  for (const item of shownItems) {
    const y = rows.y.get(item.key);
    const text = sentence(item, call);
    const group = svg("g", { class: `item ${item.kind}`, role: "button", tabindex: "-1", "aria-label": text, "data-key": item.key, "aria-pressed": String(item.key === chosen) });
    if (item.kind === "input") arrow(group, item.input, y, laneX, laneOf);
    else if (item.kind === "event") eventMark(group, item.event, eventLines(call, item.event), parties.x.get(item.event.partyId) ?? parties.begin, y, parties.width);
    else deliveryMark(group, item, subscribers.x.get(item.delivery.subscriptionId), y, subscribers.width);
    // What is shown comes first in what is read out, so that people who speak to their screen can name it.
    const seen = [...group.querySelectorAll("text")].map((one) => one.textContent).join(" ");
    if (seen && !text.startsWith(seen)) group.setAttribute("aria-label", `${seen}: ${text}`);
    group.append(svg("title", {}, text));
    groups.set(item.key, group);
    front.append(group);
  }
  const order = shownItems.map((item) => groups.get(item.key));
  (groups.get(chosen) ?? order[0])?.setAttribute("tabindex", "0");

  const axis = svg("svg", { width: axisWidth, height, viewBox: `0 0 ${axisWidth} ${height}`, class: "ladder-axis", "aria-hidden": "true" });
  for (const gap of rows.gaps) axis.append(label(axisWidth - 10, gap.y + 4, span(gap.ms), "gap-label", "end"));
  for (const mark of rows.times) axis.append(label(axisWidth - 10, mark.y + 4, timeOf(mark.time), "axis", "end"));
  const corner = svg("svg", { width: axisWidth, height: HEAD, viewBox: `0 0 ${axisWidth} ${HEAD}`, class: "ladder-corner", "aria-hidden": "true" });
  corner.append(label(axisWidth - 10, 14, "Time", "region", "end"), label(axisWidth - 10, 38, since ? "seconds" : offset(new Date(start)), "sub", "end"), label(axisWidth - 10, 53, since ? "since start" : zone() === "UTC" ? "" : cut(zone().split("/").at(-1).replaceAll("_", " "), 14), "sub", "end"));
  const body = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "ladder-body", role: "group", "aria-label": "The call on one time axis. Up and down go through it in time, left and right from column to column." }, back, front);
  const head = heads(call, columns, fold);

  const pick = (group) => group && choose(items.find((item) => item.key === group.dataset.key));
  body.addEventListener("click", (event) => pick(event.target.closest(".item")));
  body.addEventListener("keydown", (event) => {
    const at = order.indexOf(event.target.closest(".item"));
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = side ? beside(shownItems, at, side, columns, rows.y) : { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (order[next]) {
      event.preventDefault();
      for (const group of order) group.setAttribute("tabindex", "-1");
      order[next].setAttribute("tabindex", "0");
      order[next].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(order[at]);
    }
  });
  const scroll = el("div", { class: "ladder-scroll" }, el("div", { class: "ladder-grid" }, corner, head, axis, body));
  const node = el("div", { class: "ladder" }, scroll);
  return { node, hidden: subscribers.hidden, parts: { corner, head, axis, body }, mark: (key) => markChosen(order, items, key) };
}

/** The heads of the columns; those of hosts fold, those of subscribers lead to them. */
function heads(call, { lanes, parties, subscribers, width }, fold) {
  const head = svg("svg", { width, height: HEAD, viewBox: `0 0 ${width} ${HEAD}`, class: "ladder-head", role: "group", "aria-label": "Columns" });
  if (lanes.length) head.append(label(6, 14, "Signals", "region"));
  head.append(label(parties.begin, 14, "Parties", "region"));
  if (subscribers.ids.length) head.append(label(subscribers.begin, 14, "Subscribers", "region"));
  for (const lane of lanes) {
    const names = lane.names.map((name) => hostName(call, name));
    const said = lane.isFolded ? `+${lane.names.length}` : cut(names[0], Math.floor((lane.width - 10) / BOLD));
    const address = lane.isFolded || names[0] === lane.names[0] ? "" : lane.names[0];
    const toggle = () => lane.names.forEach((name) => fold(name, !lane.isFolded));
    const button = svg(
      "g",
      { class: "host", role: "button", tabindex: "0", "aria-expanded": String(!lane.isFolded), "data-host": lane.names[0] },
      svg("rect", { x: lane.x - lane.width / 2 + 2, y: 20, width: lane.width - 4, height: 42, rx: 6, class: "hit" }),
      // Its texts are its name: what it is, and what choosing it does.
      label(lane.x, 38, said, "lane", "middle"),
      label(lane.x, 53, lane.isFolded ? "▸" : cut(address, Math.floor((lane.width - 12) / 6.2)), "sub", "middle"),
      svg("title", {}, visible(lane.isFolded ? `Unfold ${names.join(", ")}` : `Fold ${names[0]}${address && `, ${address}`}`)),
    );
    button.addEventListener("click", toggle);
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    head.append(button);
  }
  const sessions = new Set(call.shown ?? []);
  for (const party of call.parties) {
    const x = parties.x.get(party.id) - 6;
    const room = Math.floor((parties.width - 10) / BOLD);
    const second = sessions.size > 1 && party.session !== call.telephonySessionId ? `${party.direction}, linked` : party.direction;
    head.append(svg("g", {}, label(x, 38, cut(partyName(call, party.id), room), "lane"), label(x, 53, second, "sub"), svg("title", {}, visible(`${partyName(call, party.id)}, ${party.direction}`))));
  }
  // Of the address of a webhook the path tells it from others; the host stands below.
  const room = Math.floor((subscribers.width - 12) / BOLD);
  for (const id of subscribers.ids) {
    const [name, second] = subscriberLines(call, id);
    const shown = visible(name.length > room ? `…${name.slice(1 - room)}` : name);
    const x = subscribers.x.get(id) - 8;
    head.append(
      svg("a", { href: `#/subscriptions/${encodeURIComponent(id)}` }, label(x, 38, shown, "lane"), label(x, 53, cut(second, Math.floor((subscribers.width - 6) / 6)), "sub"), svg("title", {}, visible(`Subscription ${subscriberName(call, id)}`))),
    );
  }
  return head;
}

/** A subscriber in two lines. */
function subscriberLines(call, id) {
  const known = call.subscriptions?.get(id);
  const name = subscriberName(call, id);
  const slash = known?.address ? name.indexOf("/") : -1;
  return slash > 0 ? [name.slice(slash), name.slice(0, slash)] : [name, known?.transport ?? ""];
}

/** The item beside another: in the next column to that side that has one, the nearest in time. */
function beside(items, at, side, columns, y) {
  const column = (item) => {
    if (item.kind === "event") return columns.parties.x.get(item.event.partyId) ?? columns.parties.begin;
    if (item.kind === "delivery") return columns.subscribers.x.get(item.delivery.subscriptionId);
    return -1;
  };
  const own = column(items[at]);
  const others = items.map((item, index) => ({ index, x: column(item), away: Math.abs(y.get(item.key) - y.get(items[at].key)) }));
  const there = others.filter(({ x }) => (x - own) * side > 0);
  const nearest = side > 0 ? Math.min(...there.map(({ x }) => x)) : Math.max(...there.map(({ x }) => x));
  return there.filter(({ x }) => x === nearest).sort((a, b) => a.away - b.away)[0]?.index;
}

/** Shows which item is chosen, and what belongs to it. */
function markChosen(order, items, key) {
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

/** Where everything stands: time goes down, and each thing has room for its text. */
function placed(call, items, timeOf) {
  const y = new Map();
  const used = new Map();
  const gaps = [];
  const times = [];
  let at = 4;
  let before;
  let shownTime;
  for (const item of items) {
    const column = item.kind === "input" ? "input" : item.kind === "event" ? item.event.partyId : item.delivery.subscriptionId;
    const passed = before === undefined ? 0 : item.at - before;
    if (passed >= GAP_MS) {
      at = Math.max(at + STEP, ...[...used.values()].map((end) => end - 6));
      gaps.push({ y: at, ms: passed });
      at += STEP;
      used.clear();
    } else if (before === undefined) {
      at += STEP;
    }
    before = item.at;
    at = Math.max(at, used.get(column) ?? 0);
    y.set(item.key, at);
    used.set(column, at + (item.kind === "input" ? ROW : item.kind === "event" && eventLines(call, item.event).length > 1 ? TWO_LINES : STEP));
    const text = timeOf(item.time);
    if (text !== shownTime && !(times.length && at - times.at(-1).y < 13)) {
      times.push({ y: at, time: item.time });
      shownTime = text;
    }
  }
  return { y, gaps, times, bottom: Math.max(at, ...used.values()) };
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
  const text = shortSummary(input);
  if (input.src && input.dst) {
    const [from, to] = [laneX(input.src), laneX(input.dst)];
    if (from === to) {
      const lane = laneOf.get(input.src);
      if (lane.isFolded) group.append(hit(from - 14, y - 11, 28, 22), svg("circle", { cx: from, cy: y, r: 3.5, class: "head" }));
      else group.append(hit(from - 6, y - 12, lane.width / 2 + 4, 22), svg("path", { d: `M${from} ${y - 5}h16v9h-12`, class: "wire" }), label(from + 22, y + 4, cut(text, Math.floor((lane.width / 2 - 24) / CHARACTER)), "start-line"));
      return;
    }
    const way = from < to ? 1 : -1;
    const begin = Math.min(from, to);
    const room = Math.abs(to - from);
    group.append(
      hit(begin + 2, y - 15, room - 4, 21),
      line(from, y, to - way * 2, y, "wire"),
      svg("path", { d: `M${to - way * 8} ${y - 4}L${to - way} ${y}L${to - way * 8} ${y + 4}Z`, class: "head" }),
      label(begin + room / 2, y - 4, cut(text, Math.max(3, Math.floor((room - 14) / CHARACTER))), "start-line", "middle"),
    );
    return;
  }
  if (input.kind === "tick") {
    group.append(hit(-2, y - 10, 60, 20), svg("circle", { cx: 8, cy: y, r: 3.5, class: "tick" }), label(17, y + 4, "timer", "start-line"));
    return;
  }
  const lane = laneOf.get(sourceName(input));
  group.append(hit(lane.x - 8, y - 11, lane.isFolded ? 16 : lane.width / 2 + 4, 22), svg("circle", { cx: lane.x, cy: y, r: 4.5, class: "head" }));
  if (!lane.isFolded) group.append(label(lane.x + 10, y + 4, cut(text, Math.max(3, Math.floor((lane.width / 2 - 10) / CHARACTER))), "start-line"));
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

function eventMark(group, event, [state, reason], x, y, width) {
  const room = Math.floor((width - 26) / CHARACTER);
  group.append(
    hit(x - 11, y - 10, width - 6, reason ? 33 : 20),
    svg("circle", { cx: x, cy: y, r: 6.5, class: "event-mark", "data-state": event.statusCode }),
    label(x + 13, y + 4, cut(state, room), "status"),
  );
  if (reason) group.append(" ", label(x + 13, y + 18, cut(reason, room + 1), "reason"));
  if (event.inferred) group.append(svg("circle", { cx: x, cy: y, r: 2, class: "inferred" }));
}

function deliveryMark(group, item, x, y, width) {
  const look = MARKS[item.state] ?? "none";
  group.dataset.look = look;
  group.append(hit(x - 11, y - 10, width - 6, 20));
  if (look === "good") group.append(svg("circle", { cx: x, cy: y, r: 6.5, class: "mark" }), svg("path", { d: `M${x - 3} ${y}l2.2 2.4l4-4.6`, class: "sign" }));
  else if (look === "bad") group.append(svg("rect", { x: x - 6.5, y: y - 6.5, width: 13, height: 13, rx: 3, class: "mark" }), svg("path", { d: `M${x - 2.8} ${y - 2.8}l5.6 5.6m0-5.6l-5.6 5.6`, class: "sign" }));
  else if (look === "waiting") group.append(svg("circle", { cx: x, cy: y, r: 6, class: "mark ring" }), svg("path", { d: `M${x} ${y - 3}v3.2l2.2 1.4`, class: "hand" }));
  else group.append(svg("circle", { cx: x, cy: y, r: 3, class: "mark hollow" }));
  const { attempt, state } = item;
  const text = attempt ? (attempt.status ? String(attempt.status) : STATES[attempt.outcome] ?? attempt.outcome) : look === "none" ? (state === "notMatched" ? "no match" : "") : look === "good" ? "" : state;
  if (text) group.append(label(x + 12, y + 4, cut(attempt && attempt.number > 1 ? `${text} · ${attempt.number}` : text, Math.floor((width - 22) / CHARACTER)), "status"));
}

