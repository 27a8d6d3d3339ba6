// All calls: those that go on and those that have ended, the newest first.

import * as live from "./live.js";
import { save } from "./api.js";
import { csv } from "./csv.js";
import { announce, badge, count, el, empty, endElement, endText, failure, plural, replace, shownTime, span, visible } from "./dom.js";

/** The most rows at once; what is searched is found among all. */
const ROWS_MAX = 300;

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

function matches(call, text) {
  const wanted = text.toLowerCase();
  const has = (value) => value && String(value).toLowerCase().includes(wanted);
  return (
    has(call.telephonySessionId) ||
    has(call.sessionId) ||
    call.parties.some((party) => [party.from, party.to].some((end) => has(end?.name) || has(end?.phoneNumber) || has(end?.extensionNumber)))
  );
}

export async function callsView(place) {
  const rows = new Map();
  const known = new Set();
  let text = "";
  const body = el("tbody", {});
  const nothing = el("div", {});
  const summary = el("p", { class: "summary", "aria-live": "off" });
  const said = el("div", {});
  const more = el("button", { type: "button", id: "older", hidden: true, onclick: () => live.loadMore().catch((error) => replace(said, failure(error))) }, "Show older calls");
  const field = el("input", { type: "search", id: "search", placeholder: "Number, name or id", autocomplete: "off", spellcheck: "false" });
  let searching;
  field.addEventListener("input", () => {
    text = field.value.trim();
    draw();
    clearTimeout(searching);
    if (text.length > 1) searching = setTimeout(() => live.search(text).catch(() => {}), 300);
  });
  const download = () => {
    const header = ["Start", "End", "Seconds", "State", "From number", "From name", "To number", "To name", "Missed", "Events", "Telephony session id"];
    const line = (call) => {
      const { from, to } = callEnds(call);
      const seconds = call.endTime ? Math.round((new Date(call.endTime) - new Date(call.startTime)) / 1000) : "";
      const missed = call.parties.some((party) => party.missedCall);
      return [call.startTime, call.endTime, seconds, callState(call), from?.phoneNumber, from?.name, to?.phoneNumber, to?.name, missed ? "yes" : "no", call.events, call.telephonySessionId];
    };
    save(new Blob(["\ufeff", csv(header, found().map(line))], { type: "text/csv;charset=utf-8" }), "calls.csv");
  };
  replace(
    place,
    el(
      "div",
      { class: "heading" },
      el("h1", {}, "Calls"),
      summary,
      el("span", { class: "spring" }),
      el("div", { class: "tools", role: "search" }, el("label", { for: "search", class: "visually-hidden" }, "Search calls"), field, el("button", { type: "button", id: "csv", onclick: download }, "Export CSV")),
    ),
    said,
    el(
      "table",
      { class: "calls rows" },
      el("caption", { class: "visually-hidden" }, "Calls, the newest first. Up and down keys go from call to call."),
      el("thead", {}, el("tr", {}, ["State", "From", "To", "Started", "Lasted", "Events"].map((name) => el("th", { scope: "col" }, name)))),
      body,
    ),
    nothing,
    more,
  );
  const table = place.querySelector("table");

  function found() {
    const all = [...live.calls.values()];
    const passed = text ? all.filter((call) => matches(call, text)) : all;
    return passed.sort((a, b) => (a.startTime < b.startTime ? 1 : a.startTime > b.startTime ? -1 : b.lastPosition - a.lastPosition));
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
    const cut = all.slice(0, ROWS_MAX);
    const wanted = cut.map(row);
    // Rows that stay are not moved, so that the focus stays as well.
    let at = body.firstChild;
    for (const node of wanted) {
      if (node === at) at = at.nextSibling;
      else body.insertBefore(node, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    const open = all.filter((call) => call.isOpen).length;
    replace(summary, !live.state.loaded ? "" : `${count(open)} open, ${count(all.length - open)} ended${all.length > cut.length ? `; the newest ${ROWS_MAX} are shown` : ""}`);
    table.hidden = all.length === 0;
    more.hidden = !live.state.more || Boolean(text);
    if (all.length || !live.state.loaded) replace(nothing);
    else if (text) replace(nothing, empty("No such call", "No call that is kept has this text in a number, a name or an id."));
    else if (live.state.error && live.state.error.status !== 404) replace(nothing, failure(live.state.error));
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
    if (change.kind !== "status") drawSoon();
  });
  const ticking = setInterval(() => {
    for (const call of live.calls.values()) {
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
  draw();
  return () => {
    unhear();
    clearInterval(ticking);
    cancelAnimationFrame(due);
  };
}
