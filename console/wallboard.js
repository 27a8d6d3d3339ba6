// The calls that go on, by queue and by extension. Tiles stay where they are and change in place.

import * as live from "./live.js";
import { get } from "./api.js";
import { announce, count, cut, el, empty, plural, replace, visible } from "./dom.js";
import { callEnds } from "./calls.js";

/** The states of a tile, the busiest first, and what each is called. */
const STATES = [
  ["Hold", "On hold"],
  ["Parked", "Parked"],
  ["Answered", "In call"],
  ["VoiceMail", "Voicemail"],
  ["VoiceMailScreening", "Voicemail"],
  ["FaxReceive", "Fax"],
  ["Proceeding", "Ringing"],
  ["Setup", "Dialling"],
];

const ORDER = new Map(STATES.map(([code], index) => [code, index]));
const WORDS = new Map(STATES);

/** How often durations move on, in milliseconds. */
const TICK_MS = 1000;

/** The most tiles that are made in one frame. */
const TILES_PER_FRAME = 60;

const isOver = (code) => code === "Disconnected" || code === "Gone";

function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Which extensions and queues a call is at, and how; a call with nobody of the directory stands under its caller. */
export function placesOf(call, extensions) {
  const places = new Map();
  const add = (place) => {
    const before = places.get(place.key);
    if (!before || (ORDER.get(place.state) ?? 99) < (ORDER.get(before.state) ?? 99)) places.set(place.key, place);
  };
  const { from, to } = callEnds(call);
  const outside = (end) => end?.name || end?.phoneNumber || "unknown";
  for (const party of call.parties) {
    if (isOver(party.statusCode)) continue;
    const side = party.direction === "Outbound" ? party.from : party.to;
    const id = party.extensionId ?? side.extensionId;
    if (!id) continue;
    const known = extensions.get(id);
    const isQueue = known?.kind === "queue" || known?.kind === "ring_group";
    const name = known?.name ?? side.name;
    const number = known?.number ?? side.phoneNumber;
    const other = party.direction === "Outbound" ? to : from;
    add({ key: `${isQueue ? "q" : "x"}${id}`, isQueue, waits: known?.kind === "queue" ? "waiting" : "ringing", name: name || number || id, number: name ? number : undefined, other: outside(other), state: party.statusCode, fromQueue: party.queueCall });
  }
  if (!places.size && call.isOpen) {
    add({ key: `o${call.telephonySessionId}`, isOutside: true, name: outside(from), other: outside(to), state: call.parties.find((party) => !isOver(party.statusCode))?.statusCode ?? "Setup" });
  }
  return [...places.values()];
}

export async function wallboardView(place) {
  let extensions = new Map();
  /** By the id of a call: the keys of the tiles that it is at. */
  const placed = new Map();
  /** By key: the tile and the calls at it. */
  const tiles = new Map();
  const dirty = new Set();
  const summary = el("p", { class: "summary", "aria-live": "off" });
  const field = el("input", { type: "search", id: "tile-filter", placeholder: "Name or number", autocomplete: "off", spellcheck: "false" });
  const groups = { queue: group("Queues and ring groups", "queues"), extension: group("Extensions", "extensions"), outside: group("Other calls", "others") };
  const nothing = el("div", {});
  replace(
    place,
    el("div", { class: "heading" }, el("h1", {}, "Live"), summary, el("span", { class: "spring" }), el("div", { class: "tools", role: "search" }, el("label", { for: "tile-filter", class: "visually-hidden" }, "Filter by name or number"), field)),
    Object.values(groups).map((one) => one.node),
    nothing,
  );

  function group(title, name) {
    const total = el("span", { class: "hint" });
    const list = el("ul", { class: "tiles" });
    return { node: el("section", { class: `wall wall-${name}`, "aria-label": title, hidden: true }, el("h2", {}, title, " ", total), list), list, total, count: 0 };
  }

  const groupOf = (first) => (first.isQueue ? groups.queue : first.isOutside ? groups.outside : groups.extension);

  function makeTile(key, first) {
    const text = () => document.createTextNode("");
    const parts = { name: text(), number: text(), state: text(), other: text(), time: text(), more: text() };
    const link = el("a", {}, el("span", { class: "tile-name" }, el("bdi", {}, parts.name), el("bdi", { class: "hint" }, parts.number)), el("span", { class: "tile-state" }, el("span", {}, parts.state), el("span", { class: "tile-time" }, parts.time)), el("span", { class: "tile-other" }, el("bdi", {}, parts.other)), el("span", { class: "tile-more hint" }, parts.more));
    const node = el("li", { class: "tile", "data-key": key }, link);
    return { node, link, parts, calls: new Map(), group: groupOf(first), since: undefined };
  }

  /** Writes a text only where it is another. */
  const write = (node, value) => {
    if (node.data !== value) node.data = value;
  };

  /** Sees what a call is at now. */
  function take(id) {
    const call = live.calls.get(id);
    const now = call?.isOpen ? placesOf(call, extensions) : [];
    const keys = new Set(now.map((one) => one.key));
    for (const key of placed.get(id) ?? []) {
      if (keys.has(key)) continue;
      tiles.get(key)?.calls.delete(id);
      dirty.add(key);
    }
    for (const one of now) {
      let tile = tiles.get(one.key);
      if (!tile) tiles.set(one.key, (tile = makeTile(one.key, one)));
      const before = tile.calls.get(id);
      const changed = before?.state !== one.state;
      tile.calls.set(id, { ...one, id, began: changed && before ? Date.now() : (before?.began ?? new Date(call.startTime).getTime()) });
      dirty.add(one.key);
    }
    if (keys.size) placed.set(id, keys);
    else placed.delete(id);
  }

  function drawTile(key, text) {
    const tile = tiles.get(key);
    if (!tile) return;
    if (!tile.calls.size) {
      if (tile.node.isConnected) tile.group.count -= 1;
      // The focus must not fall out of the page with its tile.
      if (tile.node.contains(document.activeElement)) (tile.node.nextElementSibling ?? tile.node.previousElementSibling)?.querySelector("a")?.focus();
      tile.node.remove();
      tiles.delete(key);
      return;
    }
    const calls = [...tile.calls.values()].sort((a, b) => (ORDER.get(a.state) ?? 99) - (ORDER.get(b.state) ?? 99) || a.began - b.began);
    const first = calls[0];
    tile.since = first.began;
    write(tile.parts.name, cut(first.name, 60));
    write(tile.parts.number, first.number ? ` ${first.number}` : "");
    write(tile.parts.other, cut(first.other, 60));
    if (first.isQueue) {
      const waiting = calls.filter((one) => one.state === "Proceeding" || one.state === "Setup").length;
      write(tile.parts.state, waiting ? `${count(waiting)} ${first.waits}` : plural(calls.length, "call"));
      write(tile.parts.more, calls.length > waiting && waiting ? `${count(calls.length - waiting)} answered` : "");
    } else {
      write(tile.parts.state, WORDS.get(first.state) ?? first.state);
      write(tile.parts.more, calls.length > 1 ? `and ${plural(calls.length - 1, "more call")}` : first.fromQueue ? "from a queue" : "");
    }
    if (tile.node.dataset.state !== first.state) tile.node.dataset.state = first.state;
    const href = `#/calls/${encodeURIComponent(first.id)}`;
    if (tile.link.getAttribute("href") !== href) tile.link.setAttribute("href", href);
    write(tile.parts.time, duration(Date.now() - tile.since));
    const isHidden = text && !`${first.name} ${first.number ?? ""} ${calls.map((one) => one.other).join(" ")}`.toLowerCase().includes(text);
    if (tile.node.hidden !== Boolean(isHidden)) tile.node.hidden = Boolean(isHidden);
    if (!tile.node.isConnected) insert(tile, first);
  }

  /** Puts a tile where its name belongs; it stays there. */
  function insert(tile, first) {
    const { list } = tile.group;
    const name = visible(first.number ? `${first.name} ${first.number}` : first.name);
    tile.name = name;
    let [low, high] = [0, list.children.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = tiles.get(list.children[middle].dataset.key)?.name ?? "";
      if (collator.compare(other, name) <= 0) low = middle + 1;
      else high = middle;
    }
    list.insertBefore(tile.node, list.children[low] ?? null);
    tile.group.count += 1;
  }

  let due;
  /** Draws what has changed, a part in each frame, so that no frame is long. */
  function draw() {
    due = undefined;
    const text = field.value.trim().toLowerCase();
    let left = TILES_PER_FRAME;
    for (const key of dirty) {
      if (left-- === 0) break;
      dirty.delete(key);
      drawTile(key, text);
    }
    for (const one of Object.values(groups)) {
      if (one.node.hidden !== (one.count === 0)) one.node.hidden = one.count === 0;
      const said = one.count ? count(one.count) : "";
      if (one.total.textContent !== said) one.total.textContent = said;
    }
    const total = live.state.openCalls;
    const said = total === undefined ? "" : `${plural(total, "call")} in progress${placed.size < total ? `; the newest ${count(placed.size)} are shown` : ""}`;
    if (!dirty.size && summary.textContent !== said) summary.textContent = said;
    const is_empty = live.state.loaded && !tiles.size && !dirty.size;
    if (is_empty !== nothing.hasChildNodes()) replace(nothing, is_empty && empty("No call in progress", "A call appears here as soon as a phone rings, and leaves when it ends."));
    if (dirty.size) drawSoon();
  }

  const drawSoon = () => (due ??= requestAnimationFrame(draw));

  const unhear = live.onChange((change) => {
    if (change.kind === "call") take(change.call.telephonySessionId);
    else if (change.kind === "calls") for (const id of new Set([...placed.keys(), ...live.calls.keys()])) if (placed.has(id) || live.calls.get(id)?.isOpen) take(id);
    drawSoon();
  });

  // Durations are written where they can be seen alone.
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target) : seen.delete(target);
  });
  const watchNew = new MutationObserver((records) => {
    for (const { addedNodes, removedNodes } of records) {
      for (const node of addedNodes) watch.observe(node);
      for (const node of removedNodes) if (!node.isConnected) { watch.unobserve(node); seen.delete(node); }
    }
  });
  for (const one of Object.values(groups)) watchNew.observe(one.list, { childList: true });
  const ticking = setInterval(() => {
    const now = Date.now();
    for (const node of seen) {
      const tile = tiles.get(node.dataset.key);
      if (tile) write(tile.parts.time, duration(now - tile.since));
    }
  }, TICK_MS);

  field.addEventListener("input", () => {
    for (const key of tiles.keys()) dirty.add(key);
    drawSoon();
  });
  place.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const tile = event.target.closest?.(".tile");
    if (!step || !tile) return;
    const all = [...place.querySelectorAll(".tile:not([hidden]) a")];
    const next = all[all.indexOf(tile.querySelector("a")) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });

  try {
    const { records } = await get("/admin/v1/extensions");
    extensions = new Map(records.map((one) => [one.extensionId, one]));
  } catch {
    announce("The names of the extensions could not be read");
  }
  for (const [id, call] of live.calls) if (call.isOpen) take(id);
  draw();
  return () => {
    unhear();
    clearInterval(ticking);
    cancelAnimationFrame(due);
    watch.disconnect();
    watchNew.disconnect();
  };
}

const collator = new Intl.Collator("en", { numeric: true });
