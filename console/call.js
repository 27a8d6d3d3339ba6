// One call: the ladder, the same as a list, and whatever is chosen in either. Every item has an address of its own.

import * as live from "./live.js";
import { CLOCKS, clock, onClock, setClock, sinceTime } from "./clock.js";
import { callPicture, callText, copyText } from "./export.js";
import { download, get, save } from "./api.js";
import { callEnds, callState } from "./calls.js";
import { drawLadder } from "./ladder.js";
import { messageView } from "./message.js";
import { STATES, callName, eventTitle, hostName, itemsOf, keyOf, namedBy, partyName, queryOf, sentence, shortSummary, subscriberName, withOthers } from "./story.js";
import { announce, badge, cut, el, empty, endElement, exactTime, facts, failure, json, plural, replace, shownTime, span, visible } from "./dom.js";
import { redeliveryDialog } from "./subscriptions.js";

const path = (id, query = "") => `/admin/v1/sessions/${encodeURIComponent(id)}${query}`;

/** Below this width the list comes first. */
const LIST_BELOW = "(max-width: 30rem)";

export async function callView(place, { id, query, me, canChange }) {
  let own;
  let call;
  let items = [];
  let ladder;
  let chosen;
  let asList = matchMedia(LIST_BELOW).matches;
  let all = true;
  let since = false;
  let allSubscribers = false;
  const folds = new Map();
  // The linked calls that are in the same picture.
  const others = new Map((query?.get("with") ?? "").split(",").filter(Boolean).map((other) => [other, undefined]));
  let raw = new Map();
  let loads = 0;
  // The sequence behind which the page of events begins: a call may have tens of thousands.
  let after = 0;
  const before = [];
  let drawn;
  let detailed;
  const head = el("div", {});
  const drawing = el("section", { class: "drawing", "aria-label": "What happened" });
  const detail = el("section", { class: "detail", "aria-label": "Details", tabindex: "-1", hidden: true });
  const said = el("div", {});
  replace(place, head, said, el("div", { class: "call-grid" }, drawing, detail));
  replace(head, el("h1", {}, "Call"), el("p", { class: "summary" }, "Reading…"));

  // Nothing is drawn anew that has not changed: it would go away under the pointer.
  async function load() {
    const mine = ++loads;
    const subscriptions = get("/admin/v1/subscriptions").catch(() => ({ records: [] }));
    const readOther = async (other) => {
      const read = await get(path(other, `?all=${all}`)).catch(() => undefined);
      return [other, read && { ...read.session, ...read }];
    };
    const [read, ...linked] = await Promise.all([get(path(id, `?all=${all}&after=${after}`)), ...[...others.keys()].map(readOther)]);
    const { records } = await subscriptions;
    const text = JSON.stringify([read, linked, records.map(({ id, address, eventFilters }) => [id, address, eventFilters])]);
    if (mine !== loads || text === drawn) return;
    drawn = text;
    for (const [other, story] of linked) if (others.has(other)) others.set(other, story);
    const known = new Map(records.map((one) => [one.id, one]));
    const { session, ...story } = read;
    own = { ...session, ...story, subscriptions: known };
    replace(said);
    combine();
    draw();
  }

  function combine() {
    call = withOthers(own, [...others.values()].filter(Boolean));
    items = itemsOf(call);
  }

  const refused = (error) => replace(said, failure(error));
  const refresh = () => load().catch(refused);

  /** The address of what is seen, so that it can be sent to somebody. */
  function address() {
    const item = items.find((item) => item.key === chosen);
    const named = new URLSearchParams({ ...queryOf(item), ...(others.size && { with: [...others.keys()].join(",") }) });
    return `#/calls/${encodeURIComponent(id)}${named.size ? `?${named}` : ""}`;
  }

  const keepAddress = () => history.replaceState(null, "", address());

  async function toggleLinked(other) {
    if (!others.delete(other)) others.set(other, undefined);
    keepAddress();
    await refresh();
    place.querySelector(`.linked [data-id="${CSS.escape(other)}"]`)?.focus();
  }

  function linkedCalls() {
    const known = new Map((own.linkedCalls ?? []).map((one) => [one.telephonySessionId, one]));
    const chip = (other) => {
      const name = known.has(other) ? callName(known.get(other)) : other.slice(0, 10);
      return el(
        "li",
        {},
        el("button", { type: "button", "aria-pressed": String(others.has(other)), "data-id": other, title: others.has(other) ? "Take it out of the picture" : "Show it in the same picture", onclick: () => toggleLinked(other) }, visible(name)),
        el("a", { href: `#/calls/${encodeURIComponent(other)}`, "aria-label": visible(`Open the call ${name}`), title: "Open this call" }, "↗"),
      );
    };
    return own.linked?.length > 0 && el("div", { class: "linked" }, el("h2", {}, "Linked calls"), el("ul", {}, own.linked.map(chip)));
  }

  function draw() {
    const { from, to } = callEnds(own);
    const state = callState(own);
    const ms = new Date(own.endTime ?? Date.now()) - new Date(own.startTime);
    replace(
      head,
      el("p", { class: "crumbs" }, el("a", { href: "#/calls" }, "Calls")),
      el("div", { class: "heading" }, el("h1", { class: "call-title" }, endElement(from), el("span", { class: "arrow", role: "img", "aria-label": "to" }, "→"), endElement(to)), badge(state)),
      facts([
        ["Started", el("time", { datetime: own.startTime }, shownTime(own.startTime))],
        [own.isOpen ? "In progress for" : "Duration", own.isOpen && (ms < 0 || ms > 86_400_000) ? undefined : span(ms)],
        ["Events", own.next || after ? `${own.events.length} of a long call` : String(own.events.length)],
        ["Messages", String((own.inputs ?? []).length)],
        ["Origin", own.origin],
        ["Session", el("code", { class: "id" }, own.telephonySessionId)],
      ]),
      linkedCalls(),
    );
    drawAll();
  }

  let room = 0;
  function drawAll() {
    const active = document.activeElement;
    const focus = drawing.contains(active) ? (active.dataset.key ? `[data-key="${CSS.escape(active.dataset.key)}"]` : active.dataset.host ? `[data-host="${CSS.escape(active.dataset.host)}"]` : active.id ? `#${active.id}` : undefined) : undefined;
    const scroll = drawing.querySelector(".ladder-scroll");
    const [x, y] = [scroll?.scrollLeft ?? 0, scroll?.scrollTop ?? 0];
    const width = drawing.clientWidth;
    room = width;
    // The scroll bar and the axis stand beside the columns.
    ladder = drawLadder(call, items, { room: width - 14, chosen, choose, folds, fold, allSubscribers, since });
    const choice = (text, list) => el("button", { type: "button", id: `as-${text.toLowerCase()}`, "aria-pressed": String(asList === list), onclick: () => { asList = list; drawAll(); } }, text);
    const page = (text, go) => el("button", { type: "button", class: "quiet", onclick: () => { go(); refresh(); } }, text);
    replace(
      drawing,
      el(
        "div",
        { class: "bar" },
        el("div", { class: "choice", role: "group", "aria-label": "Show as" }, choice("Ladder", false), choice("List", true)),
        clockChoice(),
        el("button", { type: "button", id: "all-messages", class: "quiet", "aria-pressed": String(all), title: "Also show messages that caused no event", onclick: () => { all = !all; refresh(); } }, "All messages"),
        before.length > 0 && page("Earlier events", () => (after = before.pop())),
        own.next && page("Later events", () => { before.push(after); after = own.next; }),
        el("span", { class: "spring" }),
        exportMenu(),
        canChange && el("button", { type: "button", id: "redeliver", onclick: () => redeliveryDialog({ telephonySessionId: id, subscriptions: [...own.subscriptions.values()] }) }, "Redeliver this call"),
      ),
      call.inputsLeftOut && el("p", { class: "hint note" }, `Only the messages that caused an event are shown: ${call.inputsLeftOut}.`),
      missing(),
      asList ? list() : ladder.node,
      !asList && legend(),
      call.deliveriesLeftOut > 0 && el("p", { class: "hint note" }, `${plural(call.deliveriesLeftOut, "delivery")} to subscriptions whose filters did not match are left out.`),
      ladder.hidden > 0 && !asList && el("p", { class: "hint note" }, `${plural(ladder.hidden, "subscription")} without a match ${ladder.hidden === 1 ? "is" : "are"} not shown. `, el("button", { type: "button", class: "link", onclick: () => { allSubscribers = true; drawAll(); } }, "Show all subscribers")),
    );
    ladder.mark(chosen);
    const scrolled = drawing.querySelector(".ladder-scroll");
    if (scrolled) [scrolled.scrollLeft, scrolled.scrollTop] = [x, y];
    if (focus) drawing.querySelector(focus)?.focus({ preventScroll: true });
    showDetail();
  }

  function missing() {
    const failed = call.deliveries?.filter((delivery) => ["waiting", "expired", "dropped"].includes(delivery.state)) ?? [];
    return failed.length > 0 && el("p", { class: "hint note bad" }, `${plural(failed.length, "notification")} of this call ${failed.length === 1 ? "has" : "have"} not been delivered. `, el("button", { type: "button", class: "link", onclick: () => choose(items.filter((item) => item.delivery === failed[0]).at(-1)) }, "Show the first"));
  }

  function fold(name, isFolded) {
    folds.set(name, isFolded);
    drawAll();
  }

  function clockChoice() {
    const select = el("select", { id: "call-clock", "aria-label": "Times", onchange: () => { since = select.value === "since"; if (!since) setClock(select.value); drawAll(); } }, Object.entries({ ...CLOCKS, since: "Since start" }).map(([value, text]) => el("option", { value }, text)));
    select.value = since ? "since" : clock();
    return select;
  }

  function exportMenu() {
    const menu = el("details", { class: "menu" }, el("summary", { id: "export" }, "Export"));
    const entry = (text, run, what) =>
      el("li", {}, el("button", { type: "button", class: "quiet", onclick: async () => {
        menu.open = false;
        menu.querySelector("summary").focus();
        try {
          await run();
          if (what) announce(what);
        } catch (error) {
          refused(error);
        }
      } }, text));
    const drawn = (use) => {
      // A picture takes its colours from the page, so that it has to be in it for a moment.
      if (!asList) return use(callPicture(ladder.parts, call));
      const shown = drawLadder(call, items, { room: 1200, choose, folds, fold, allSubscribers, since });
      drawing.append(shown.node);
      const made = callPicture(shown.parts, call);
      shown.node.remove();
      return use(made);
    };
    const anonymise = me?.accountId ? "&anonymise=true" : "";
    menu.append(
      el(
        "ul",
        {},
        entry("Copy as text", () => copyText(callText(call, items, since)), "The call has been copied as text"),
        entry("Copy as SVG", () => drawn(copyText), "The picture has been copied"),
        entry("Save as SVG", () => drawn((svg) => save(new Blob([svg], { type: "image/svg+xml" }), `${id}.svg`))),
        entry(anonymise ? "Save as pcap, anonymised" : "Save as pcap", () => download(path(id, `/capture?format=pcap${anonymise}`), `${id}.pcap`)),
        entry("Save for replay, anonymised", () => download(path(id, "/capture?anonymise=true"), `${id}.json`)),
      ),
    );
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    return menu;
  }

  function list() {
    const row = (item) => {
      const kind = { input: "Message", event: "Event", delivery: "Delivery" }[item.kind];
      return el(
        "tr",
        { class: item.kind, "data-look": item.kind },
        el("td", {}, el("time", { datetime: item.time }, shownExact(item.time))),
        el("td", {}, kind),
        el("td", {}, el("button", { type: "button", class: "link", "data-key": item.key, "aria-pressed": String(item.key === chosen), onclick: () => choose(item) }, cut(sentence(item, call), 160))),
      );
    };
    return el(
      "div",
      { class: "table-scroll" },
      el("table", { class: "rows list" }, el("caption", { class: "visually-hidden" }, "Everything that happened, in order"), el("thead", {}, el("tr", {}, ["Time", "Kind", "What"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, items.map(row))),
    );
  }

  const shownExact = (text) => (since ? sinceTime(text, items[0]?.at ?? 0) : exactTime(text));

  function choose(item) {
    chosen = item?.key;
    const isSame = detail.hidden === !item;
    keepAddress();
    // With the details the ladder has less room; it is drawn anew when that changes.
    showDetail();
    if (!isSame) drawAll();
    ladder.mark(chosen);
    for (const button of drawing.querySelectorAll("button[data-key]")) button.setAttribute("aria-pressed", String(button.dataset.key === chosen));
    if (item) {
      const heading = detail.querySelector("h2");
      heading?.focus({ preventScroll: matchMedia("(min-width: 70rem)").matches });
    }
  }

  const go = (key) => choose(items.find((item) => item.key === key));

  function showDetail() {
    const item = items.find((item) => item.key === chosen);
    const about = item?.event && call.deliveries?.filter((delivery) => delivery.eventId === item.event.id);
    const text = JSON.stringify([item, about, item?.input && raw.get(item.input.position), call.inputs?.length, clock(), since]);
    detail.hidden = !item;
    if (text === detailed) return;
    detailed = text;
    if (!item) {
      replace(detail);
      return;
    }
    const tools = el(
      "div",
      { class: "detail-tools" },
      el("button", { type: "button", class: "quiet", onclick: () => copyText(new URL(address(), location.href).href).then(() => announce("The link has been copied"), refused) }, "Copy link"),
      el("button", { type: "button", class: "quiet", "aria-label": "Close the details", title: "Close (Escape)", onclick: leaveDetail }, "✕"),
    );
    replace(detail, tools, ...{ input: inputDetail, event: eventDetail, delivery: deliveryDetail }[item.kind](item));
  }

  function leaveDetail() {
    const key = chosen;
    choose(undefined);
    drawing.querySelector(`[data-key="${CSS.escape(key ?? "")}"]`)?.focus();
  }

  const heading = (text) => el("h2", { tabindex: "-1" }, text);
  const jump = (key, text) => el("button", { type: "button", class: "link", onclick: () => go(key) }, text);
  detail.addEventListener("keydown", (event) => event.key === "Escape" && leaveDetail());

  let reading;
  /** Reads the bytes of the messages, when one is looked at first. */
  function readMessages() {
    reading ??= Promise.all([...call.shown].map((one) => get(path(one, `?raw=true&all=${all}${one === id ? `&after=${after}` : ""}`))))
      .then((stories) => {
        const known = new Map(call.inputs.map((input) => [input.position, input]));
        raw = new Map([...known, ...stories.flatMap(({ inputs }) => inputs.map((one) => [one.position, one]))]);
        showDetail();
        detail.querySelector("h2")?.focus({ preventScroll: true });
      })
      .catch(refused)
      .finally(() => (reading = undefined));
  }

  function inputDetail({ input }) {
    const caused = call.events.filter((event) => event.causes?.includes(input.position));
    const text = raw.get(input.position);
    if (!text) readMessages();
    const host = (address) => address && (hostName(call, address) === address ? address : `${hostName(call, address)} (${address})`);
    return [
      heading(cut(shortSummary(input) || input.kind, 200)),
      facts([
        ["Arrived", shownExact(input.arrivalTime ?? input.time)],
        ["Source time", shownExact(input.time)],
        ["From", host(input.src)],
        ["To", host(input.dst)],
        ["Transport", input.transport],
        ["Source", input.source && `${input.source.name} (${input.source.kind})`],
        ["Position", String(input.position)],
      ]),
      el("h3", {}, "What followed"),
      caused.length
        ? el("ul", { class: "plain" }, caused.map((event) => el("li", {}, jump(keyOf.event(event), cut(eventTitle(call, event), 160)))))
        : el("p", { class: "hint" }, "It caused no event by itself."),
      el("h3", {}, "The message"),
      text?.raw !== undefined
        ? [el("div", { class: "message" }, messageView(text.raw)), el("button", { type: "button", class: "quiet", onclick: () => copyText(text.raw).then(() => announce("The message has been copied"), refused) }, "Copy message")]
        : el("p", { class: "hint" }, text ? "The message is no longer stored, or not shown to this account." : "Reading…"),
    ];
  }

  function causeList(event) {
    const causes = (event.causes ?? []).map((position) => call.inputs?.find((input) => input.position === position)).filter(Boolean);
    if (!causes.length && !event.causes?.length) return el("p", { class: "hint" }, "A timer: nothing had come in meanwhile.");
    if (!causes.length) return el("p", { class: "hint" }, "The messages that caused it are no longer stored.");
    return el("ul", { class: "plain" }, causes.map((input) => el("li", {}, jump(keyOf.input(input), cut(shortSummary(input) || input.kind, 120)), el("span", { class: "hint" }, ` ${shownExact(input.arrivalTime ?? input.time)}`))));
  }

  function eventDetail({ event }) {
    const deliveries = call.deliveries?.filter((delivery) => delivery.eventId === event.id) ?? [];
    return [
      heading(cut(eventTitle(call, event), 200)),
      facts([
        ["Status", badge(event.statusCode)],
        ["Reason", event.reason],
        ["Party", el("bdi", {}, cut(partyName(call, event.partyId), 80))],
        ["Time", shownExact(event.time)],
        ["Stored", shownExact(event.storedTime)],
        ["Sequence", String(event.sequence)],
        ["Event", el("code", { class: "id" }, event.id)],
      ]),
      el("h3", {}, "Caused by"),
      causeList(event),
      el("h3", {}, "Rule"),
      el("p", {}, asSentence(event.rule?.text ?? event.rule?.name ?? "")),
      event.inferred && el("p", { class: "hint" }, "Inferred: no single message says so."),
      (event.notes ?? []).map((note) => el("p", { class: "hint" }, asSentence(String(note)))),
      el("h3", {}, "Deliveries"),
      deliveries.length
        ? el(
            "ul",
            { class: "plain" },
            deliveries.map((delivery) => {
              const item = items.filter((item) => item.delivery === delivery).at(-1);
              return el("li", { class: "delivery", "data-look": delivery.state }, jump(item?.key, subscriberName(call, delivery.subscriptionId)), el("span", { class: "hint" }, ` ${STATES[delivery.state] ?? delivery.state}`));
            }),
          )
        : el("p", { class: "hint" }, "There was no subscription at that time."),
      el("h3", {}, "Notification"),
      json(event.notification),
    ];
  }

  function deliveryDetail({ delivery, event }) {
    const attempts = delivery.attempts ?? [];
    return [
      heading(`${event.statusCode} to ${subscriberName(call, delivery.subscriptionId)}`),
      el("p", { class: "verdict", "data-look": delivery.state }, verdict(delivery)),
      facts([
        ["Event", jump(keyOf.event(event), cut(eventTitle(call, event), 120))],
        ["Subscription", el("a", { href: `#/subscriptions/${encodeURIComponent(delivery.subscriptionId)}` }, delivery.subscriptionId.slice(0, 8))],
        ["Next attempt", delivery.nextAttemptTime && shownExact(delivery.nextAttemptTime)],
        ["Sent", delivery.streamed && shownExact(delivery.streamed.to)],
      ]),
      el("h3", {}, delivery.matched ? "Why it was notified" : "Why it was not notified"),
      why(delivery.why),
      el("h3", {}, attempts.length ? plural(attempts.length, "attempt") : "Attempts"),
      attempts.length
        ? el("ol", { class: "attempts" }, attempts.map(attemptItem))
        : el("p", { class: "hint" }, delivery.matched ? "No webhook attempt was made." : "None: no filter matched."),
      canChange && delivery.matched && el("button", { type: "button", class: "primary", onclick: () => redeliveryDialog({ eventId: event.id, subscriptionId: delivery.subscriptionId, subscriptions: [...own.subscriptions.values()], then: load }) }, "Redeliver this event"),
      el("h3", {}, "What caused the event"),
      causeList(event),
    ];
  }

  let due;
  const soon = () => {
    clearTimeout(due);
    due = setTimeout(refresh, 250);
  };
  const unhear = live.onChange((change) => change.kind === "call" && (change.call.telephonySessionId === id || others.has(change.call.telephonySessionId)) && soon());
  // Attempts change nothing of the call, so they are asked for while some are due.
  const polling = setInterval(() => {
    const waits = call?.deliveries?.some((delivery) => ["waiting", "sending", "queued"].includes(delivery.state));
    if (waits && !document.hidden) refresh();
  }, 2000);
  try {
    await load();
    const named = namedBy(query, items);
    if (named) {
      choose(named);
      drawing.querySelector(`[data-key="${CSS.escape(named.key)}"]`)?.scrollIntoView({ block: "center", inline: "nearest" });
    }
  } catch (error) {
    if (error.status === 404) replace(place, el("p", { class: "crumbs" }, el("a", { href: "#/calls" }, "Calls")), empty("No such call", "It may be older than what is stored, or belong to another account."));
    else replace(place, failure(error));
  }
  const unclock = onClock(() => call && drawAll());
  // As wide as there is room, also after the window has changed.
  const sized = new ResizeObserver(() => call && drawing.clientWidth !== room && requestAnimationFrame(() => drawing.clientWidth !== room && drawAll()));
  sized.observe(drawing);
  return () => {
    unclock();
    sized.disconnect();
    unhear();
    clearInterval(polling);
    clearTimeout(due);
  };
}

/** The state of a delivery in a sentence; times are shown as elsewhere. */
function verdict(delivery) {
  const said = (delivery.state !== "notMatched" && delivery.because) || STATES[delivery.state] || delivery.state;
  return asSentence(said.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (text) => exactTime(text)));
}

function asSentence(text) {
  return visible(text && `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`);
}

/** Which clause of which filter matched or failed. */
function why(reasons) {
  if (!reasons?.length) return el("p", { class: "hint" }, "Unknown: the subscription no longer exists.");
  const one = ({ filter, matched, clause }) => el("li", {}, el("code", { class: "filter" }, visible(filter)), el("ul", { class: "clauses" }, el("li", { "data-look": matched ? "good" : "bad" }, visible(clause))));
  return el("ul", { class: "plain why" }, reasons.map(one));
}

function attemptItem(attempt) {
  return el(
    "li",
    { "data-look": attempt.outcome === "delivered" ? "good" : "bad" },
    el("p", {}, el("strong", {}, attempt.status ? String(attempt.status) : (STATES[attempt.outcome] ?? attempt.outcome)), ` ${exactTime(attempt.time)}, ${span(attempt.durationMs)}`, attempt.isReplay && el("span", { class: "role" }, "redelivery")),
    attempt.error && el("p", { class: "hint" }, visible(attempt.error)),
    attempt.answer && attempt.answerIsBase64 && el("p", { class: "hint" }, "The answer is not text; this is its base64 form:"),
    attempt.answer && el("pre", { class: "answer", tabindex: "0", role: "region", "aria-label": "The answer" }, visible(attempt.answer).replace(/␍␊|␊/g, "\n")),
    el("p", { class: "hint" }, visible(attempt.address ?? "")),
  );
}

function legend() {
  const entry = (look, text) => el("li", { "data-look": look }, text);
  return el("ul", { class: "legend", "aria-label": "Marks" }, ["Setup", "Proceeding", "Answered", "Hold", "Parked", "Disconnected"].map((state) => el("li", { "data-state": state }, state)), entry("good", "delivered"), entry("bad", "failed"), entry("waiting", "waiting"), entry("none", "no match"));
}
