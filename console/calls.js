// All calls: those that go on and those that have ended, the newest first; what is searched is found by the server.

import * as live from "./live.js";
import { download, get } from "./api.js";
import { announce, badge, count, el, empty, endElement, endText, failure, plural, replace, shownTime, span, visible } from "./dom.js";

/** How many rows there are at first, how many more at once, and how many a request gives. */
const ROWS = 100;
const ROWS_MORE = 200;
const PAGE_MAX = 200;

/** How soon the list is read again after a change, and how seldom it is under many. */
const SOON = 150;
const SELDOM = 1000;

const YES_NO = (yes, no) => [["true", yes], ["false", no]];
const CODES = ["Setup", "Proceeding", "Answered", "Hold", "Parked", "VoiceMail", "FaxReceive", "Disconnected", "Gone"];
const REASONS = ["NoAnswer", "TargetBusy", "Rejected", "Cancelled", "Timeout", "InvalidNumber", "NoSuchUser", "InternalError", "CallDropped", "DestinationBlocked", "Pickup", "BlindTransfer", "AttendedTransfer", "AgentAnswered", "Voicemail", "CallPark", "ParkLocation", "Conference"];

/** What calls are searched by beside the text: the parameter, its label, and the values that it may have. */
const FILTERS = [
  ["state", "State", [["open", "open"], ["ended", "ended"], ...CODES.map((code) => [code, code])]],
  ["missed", "Missed", YES_NO("missed", "not missed")],
  ["answered", "Answered", YES_NO("answered", "not answered")],
  ["voiceMail", "Voicemail", YES_NO("reached a mailbox", "reached none")],
  ["recorded", "Recorded", YES_NO("recorded", "not recorded")],
  ["direction", "Direction", [["Inbound", "inbound"], ["Outbound", "outbound"]]],
  ["reason", "Reason", REASONS.map((reason) => [reason, reason])],
  ["number", "Number"],
  ["name", "Name"],
  ["extension", "Extension"],
  ["source", "Source"],
  ["callId", "Call-ID"],
  ["id", "Session id"],
  ["accountId", "Account"],
  ["from", "Began after", "time"],
  ["to", "Began before", "time"],
];

/** A time of the address as a field of the local clock has it, and back. */
const toLocal = (iso) => {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const toIso = (local) => (local ? new Date(local).toISOString() : "");

/** The state of a session in a word: that of the party that has come furthest. */
export function callState(call) {
  const codes = call.parties.map((party) => party.statusCode);
  if (!call.isOpen) {
    if (call.parties.some((party) => party.missedCall)) return "Missed";
    if (codes.includes("VoiceMail")) return "VoiceMail";
    return "Disconnected";
  }
  return ["Hold", "Parked", "Answered", "VoiceMail", "VoiceMailScreening", "FaxReceive", "Proceeding", "Setup"].find((code) => codes.includes(code)) ?? "Setup";
}

/** Who calls whom. */
export function callEnds(call) {
  const outbound = call.parties.find((party) => party.direction === "Outbound") ?? call.parties[0];
  const inbound = call.parties.filter((party) => party.direction === "Inbound");
  const last = inbound.find((party) => party.statusCode !== "Disconnected") ?? inbound.at(-1);
  return { from: outbound?.from, to: last?.to ?? outbound?.to };
}

export async function callsView(place, { query }) {
  const rows = new Map();
  const known = new Set();
  /** What is asked for, as the address has it. */
  const asked = new Map([...(query ?? [])].filter(([name, value]) => value && (name === "text" || FILTERS.some(([known]) => known === name))));
  let list = [];
  let counts;
  let wanted = ROWS;
  let more = false;
  let failed;
  const body = el("tbody", {});
  const nothing = el("div", {});
  const summary = el("p", { class: "summary", "aria-live": "off" });
  const said = el("div", {});
  const older = el("button", { type: "button", id: "older", hidden: true, onclick: () => { wanted += ROWS_MORE; readSoon(0); } }, "Show older calls");
  const field = el("input", { type: "search", id: "search", placeholder: "Number, name or id", autocomplete: "off", spellcheck: "false", value: asked.get("text") ?? "" });
  const parameters = (extra) => new URLSearchParams([...asked, ...Object.entries(extra ?? {})]).toString();
  const ask = (name, value) => {
    const text = value.trim();
    if (text === (asked.get(name) ?? "")) return;
    if (text) asked.set(name, text);
    else asked.delete(name);
    history.replaceState(null, "", `#/calls${asked.size ? `?${parameters()}` : ""}`);
    wanted = ROWS;
    countFilters();
    readSoon(300);
  };
  field.addEventListener("input", () => ask("text", field.value));
  const filterField = ([name, label, kind]) => {
    const id = `filter-${name}`;
    const now = asked.get(name) ?? "";
    let input;
    if (Array.isArray(kind)) {
      const options = kind.some(([value]) => value === now) || !now ? kind : [...kind, [now, now]];
      input = el("select", { id, onchange: () => ask(name, input.value) }, el("option", { value: "" }, "any"), options.map(([value, text]) => el("option", { value }, text)));
      input.value = now;
    } else if (kind === "time") {
      input = el("input", { id, type: "datetime-local", value: now && toLocal(now), onchange: () => ask(name, toIso(input.value)) });
    } else {
      input = el("input", { id, type: "text", autocomplete: "off", spellcheck: "false", value: now, oninput: () => ask(name, input.value) });
    }
    return el("div", {}, el("label", { for: id }, label), input);
  };
  const filterWord = el("summary", { id: "filters" });
  const countFilters = () => {
    const used = [...asked.keys()].filter((name) => name !== "text").length;
    replace(filterWord, used ? `Filters (${used})` : "Filters");
  };
  countFilters();
  const fields = el("div", { class: "filter-fields" }, FILTERS.map(filterField), el("button", { type: "button", class: "quiet", id: "clear-filters", onclick: () => { location.hash = asked.size ? "#/calls" : location.hash; } }, "Clear"));
  const filters = el("details", { class: "filters", open: [...asked.keys()].some((name) => name !== "text") }, filterWord, fields);
  const saveTable = () => {
    replace(said, el("p", { class: "hint", role: "status" }, "The table is being written…"));
    download(`/admin/v1/sessions.csv?${parameters()}`, "calls.csv")
      .then(() => replace(said))
      .catch((error) => replace(said, failure(error)));
  };
  replace(
    place,
    el(
      "div",
      { class: "heading" },
      el("h1", {}, "Calls"),
      summary,
      el("span", { class: "spring" }),
      el("div", { class: "tools", role: "search" }, el("label", { for: "search", class: "visually-hidden" }, "Search calls"), field, el("button", { type: "button", id: "csv", onclick: saveTable }, "Export CSV")),
    ),
    filters,
    said,
    el(
      "table",
      { class: "calls rows" },
      el("caption", { class: "visually-hidden" }, "Calls, the newest first. Up and down keys go from call to call."),
      el("thead", {}, el("tr", {}, ["State", "From", "To", "Started", "Lasted", "Events"].map((name) => el("th", { scope: "col" }, name)))),
      body,
    ),
    nothing,
    older,
  );
  const table = place.querySelector("table");

  let reading = false;
  let again = false;
  let timer;
  let readAt = 0;
  let isLeft = false;

  /** Reads as much of the list as is shown, and counts all. */
  async function read() {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    readAt = Date.now();
    const query = parameters();
    try {
      const read = [];
      let page;
      do {
        const limit = Math.min(PAGE_MAX, wanted - read.length);
        page = await get(`/admin/v1/sessions?${parameters(page ? { limit, before: page.next } : { limit, total: true })}`);
        counts = page.total === undefined ? counts : page;
        read.push(...page.records);
      } while (page.next && read.length < wanted && query === parameters());
      if (query === parameters()) {
        list = read;
        more = Boolean(page.next);
        failed = undefined;
      } else {
        again = true;
      }
    } catch (error) {
      failed = error;
    }
    reading = false;
    if (isLeft) return;
    draw();
    if (again) {
      again = false;
      readSoon(SOON);
    }
  }

  function readSoon(wait = SOON) {
    if (wait !== SOON) clearTimeout(timer);
    else if (timer) return;
    const rest = wait === SOON ? Math.max(wait, readAt + SELDOM - Date.now()) : wait;
    timer = setTimeout(() => {
      timer = undefined;
      read();
    }, rest);
  }

  /** The calls of the list as they stand now. */
  function found() {
    return list.map((call) => {
      const now = live.calls.get(call.telephonySessionId);
      return now && now.lastPosition > call.lastPosition ? { ...call, ...now } : call;
    });
  }

  function lasted(call) {
    const end = call.endTime ? new Date(call.endTime).getTime() : Date.now();
    const ms = end - new Date(call.startTime).getTime();
    // The clock of the source may be another than that of this machine.
    return call.endTime || (ms >= 0 && ms < 86_400_000) ? span(ms) : "";
  }

  function row(call) {
    let parts = rows.get(call.telephonySessionId);
    if (!parts) {
      const link = el("a", { href: `#/calls/${encodeURIComponent(call.telephonySessionId)}` });
      const cells = {
        state: el("td", { class: "state" }),
        from: el("td", { class: "from", "data-label": "From" }),
        to: el("td", { class: "to", "data-label": "To" }),
        started: el("td", { class: "started" }),
        lasted: el("td", { class: "lasted number-cell" }),
        events: el("td", { class: "events number-cell" }),
      };
      parts = { link, cells, row: el("tr", { "data-id": call.telephonySessionId }, Object.values(cells)), position: undefined };
      rows.set(call.telephonySessionId, parts);
    }
    if (parts.position !== call.lastPosition) {
      const { from, to } = callEnds(call);
      const state = callState(call);
      parts.row.dataset.open = String(call.isOpen);
      replace(parts.cells.state, badge(state));
      replace(parts.link, endElement(from));
      replace(parts.cells.from, parts.link);
      parts.link.setAttribute("aria-label", visible(`${endText(from).slice(0, 80)} to ${endText(to).slice(0, 80)}, ${state}`));
      replace(parts.cells.to, endElement(to), call.parties.length > 2 && el("span", { class: "hint" }, ` ${plural(call.parties.length, "party").replace("partys", "parties")}`));
      replace(parts.cells.started, el("time", { datetime: call.startTime }, shownTime(call.startTime)));
      replace(parts.cells.events, count(call.events));
      if (parts.position !== undefined) flash(parts.row);
      parts.position = call.lastPosition;
    }
    replace(parts.cells.lasted, lasted(call));
    return parts.row;
  }

  function flash(node) {
    node.classList.remove("changed");
    void node.offsetWidth; // so that it begins anew
    node.classList.add("changed");
  }

  function draw() {
    const all = found();
    const shown = all.map(row);
    // Rows that stay are not moved, so that the focus stays as well.
    let at = body.firstChild;
    for (const node of shown) {
      if (node === at) at = at.nextSibling;
      else body.insertBefore(node, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    for (const id of rows.keys()) if (!rows.get(id).row.isConnected) rows.delete(id);
    const cut = counts && counts.total > all.length ? `; the newest ${count(all.length)} are shown` : "";
    const behind = counts?.behind ? `; the index is being made, ${plural(counts.behind, "event")} to go` : "";
    replace(summary, !counts ? "" : `${count(counts.open)} open, ${count(counts.total - counts.open)} ended${cut}${behind}`);
    table.hidden = all.length === 0;
    older.hidden = !more;
    if (failed && failed.status !== 404) replace(nothing, failure(failed));
    else if (all.length || !counts) replace(nothing);
    else if (asked.size) replace(nothing, empty("No such call", "No call that is kept meets all of this."));
    else replace(nothing, empty("No call yet", "Point a HEP agent of your phone system to this server, or play a capture: ", el("code", {}, "hookswitch play captures/answered-call.pcap --to 127.0.0.1:9060"), "."));
  }

  let due;
  const drawSoon = () => (due ??= requestAnimationFrame(() => { due = undefined; draw(); }));
  const unhear = live.onChange((change) => {
    if (change.kind === "call") {
      const { call, before } = change;
      const { from, to } = callEnds(call);
      if (!before && !known.has(call.telephonySessionId)) announce(visible(`New call from ${endText(from).slice(0, 40)} to ${endText(to).slice(0, 40)}`));
      else if (before?.isOpen && !call.isOpen) announce(visible(`Call from ${endText(from).slice(0, 40)} has ended`));
      known.add(call.telephonySessionId);
    }
    if (change.kind === "call" && list.some((call) => call.telephonySessionId === change.call.telephonySessionId)) drawSoon();
    if (change.kind !== "status") readSoon();
  });
  const ticking = setInterval(() => {
    for (const call of found()) {
      const parts = call.isOpen ? rows.get(call.telephonySessionId) : undefined;
      if (parts?.row.isConnected) replace(parts.cells.lasted, lasted(call));
    }
  }, 1000);
  body.addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    const links = [...body.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (links[next]) {
      event.preventDefault();
      links[next].focus();
    }
  });
  body.addEventListener("click", (event) => {
    const link = event.target.closest("tr")?.querySelector("a");
    if (link && !event.target.closest("a") && !String(getSelection())) location.hash = link.getAttribute("href");
  });
  await read();
  return () => {
    isLeft = true;
    unhear();
    clearTimeout(timer);
    clearInterval(ticking);
    cancelAnimationFrame(due);
  };
}
