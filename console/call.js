// One call: the ladder, the same as a list, and whatever is chosen in either.

import * as live from "./live.js";
import { download, get, post } from "./api.js";
import { callEnds, callState } from "./calls.js";
import { STATES, drawLadder, eventTitle, itemsOf, keyOf, partyName, sentence, shortSummary, subscriberName } from "./ladder.js";
import { badge, cut, el, empty, endElement, exactTime, facts, failure, json, plural, replace, shownTime, span, visible } from "./dom.js";
import { redeliveryDialog } from "./subscriptions.js";

const path = (id, query = "") => `/admin/v1/sessions/${encodeURIComponent(id)}${query}`;

export async function callView(place, { id, query, canChange }) {
  let call;
  let ladder;
  let chosen;
  let asList = matchMedia("(max-width: 44rem)").matches;
  let all = true;
  let raw = new Map();
  let loads = 0;
  // The sequence behind which the page of events begins: a call may have tens of thousands.
  let after = 0;
  const before = [];
  let drawn;
  let detailed;
  const head = el("div", {});
  const drawing = el("section", { class: "drawing", "aria-label": "What happened" });
  const detail = el("section", { class: "detail", "aria-label": "Details", tabindex: "-1" });
  const said = el("div", {});
  replace(place, head, said, el("div", { class: "call-grid" }, drawing, detail));
  replace(head, el("h1", {}, "Call"), el("p", { class: "summary" }, "Reading…"));

  // Nothing is drawn anew that has not changed: it would go away under the pointer.
  async function load() {
    const mine = ++loads;
    const subscriptions = get("/admin/v1/subscriptions").catch(() => ({ records: [] }));
    const read = await get(path(id, `?all=${all}&after=${after}`));
    const { records } = await subscriptions;
    const text = JSON.stringify([read, records.map(({ id, address, eventFilters }) => [id, address, eventFilters])]);
    if (mine !== loads || text === drawn) return;
    drawn = text;
    const known = new Map(records.map((one) => [one.id, one]));
    const { session, ...story } = read;
    call = { ...session, ...story, subscriptions: known };
    replace(said);
    draw();
  }

  function draw() {
    const { from, to } = callEnds(call);
    const state = callState(call);
    const ms = new Date(call.endTime ?? Date.now()) - new Date(call.startTime);
    const linked = (call.linked ?? []).map((other) => el("a", { href: `#/calls/${encodeURIComponent(other)}` }, other.slice(0, 10)));
    replace(
      head,
      el("p", { class: "crumbs" }, el("a", { href: "#/calls" }, "Calls")),
      el("div", { class: "heading" }, el("h1", { class: "call-title" }, endElement(from), el("span", { class: "arrow", "aria-label": "to" }, "→"), endElement(to)), badge(state)),
      facts([
        ["Started", el("time", { datetime: call.startTime }, shownTime(call.startTime))],
        [call.isOpen ? "Lasts" : "Lasted", call.isOpen && (ms < 0 || ms > 86_400_000) ? undefined : span(ms)],
        ["Events", call.next || after ? `${call.events.length} of a long call` : String(call.events.length)],
        ["Messages", String((call.inputs ?? []).length)],
        ["Origin", call.origin],
        ["Session", el("code", { class: "id" }, call.telephonySessionId)],
        ["Linked", linked.length ? linked : undefined],
      ]),
    );
    const focus = drawing.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const scroll = drawing.querySelector(".ladder-scroll");
    const [x, y] = [scroll?.scrollLeft ?? 0, scroll?.scrollTop ?? 0];
    ladder = drawLadder(call, { chosen, choose });
    const choice = (text, list) => el("button", { type: "button", "aria-pressed": String(asList === list), onclick: () => { asList = list; draw(); } }, text);
    replace(
      drawing,
      el(
        "div",
        { class: "bar" },
        el("div", { class: "choice", role: "group", "aria-label": "Show as" }, choice("Ladder", false), choice("List", true)),
        el("button", { type: "button", class: "quiet", "aria-pressed": String(all), title: "Also those that caused no event", onclick: showAll }, "All messages"),
        before.length > 0 && el("button", { type: "button", class: "quiet", onclick: () => { after = before.pop(); load().catch((error) => replace(said, failure(error))); } }, "Earlier events"),
        call.next && el("button", { type: "button", class: "quiet", onclick: () => { before.push(after); after = call.next; load().catch((error) => replace(said, failure(error))); } }, "Later events"),
        el("span", { class: "spring" }),
        el("button", { type: "button", class: "quiet", onclick: () => download(path(id, "/capture?anonymise=true"), `${id}.json`).catch((error) => replace(said, failure(error))) }, "Capture, anonymised"),
        canChange && el("button", { type: "button", onclick: () => redeliveryDialog({ telephonySessionId: id, subscriptions: [...call.subscriptions.values()] }) }, "Redeliver this call"),
      ),
      call.inputsLeftOut && el("p", { class: "hint note" }, `Only the messages that caused an event are here: ${call.inputsLeftOut}.`),
      asList ? list() : ladder.node,
      !asList && legend(),
      call.deliveriesLeftOut > 0 && el("p", { class: "hint note" }, `${plural(call.deliveriesLeftOut, "delivery").replace("deliverys", "deliveries")} of events that were not told are left out.`),
      ladder.hidden > 0 && !asList && el("p", { class: "hint note" }, `${plural(ladder.hidden, "more subscription")} in the list.`),
    );
    ladder.mark(chosen);
    const scrolled = drawing.querySelector(".ladder-scroll");
    if (scrolled) [scrolled.scrollLeft, scrolled.scrollTop] = [x, y];
    if (focus) drawing.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    showDetail();
  }

  function showAll() {
    all = !all;
    load()
      .then(() => drawing.querySelector(".bar > [aria-pressed]")?.focus())
      .catch((error) => replace(said, failure(error)));
  }

  function list() {
    const row = (item) => {
      const kind = { input: "Message", event: "Event", delivery: "Delivery" }[item.kind];
      return el(
        "tr",
        { class: item.kind, "data-look": item.kind },
        el("td", {}, el("time", { datetime: item.time }, exactTime(item.time))),
        el("td", {}, kind),
        el("td", {}, el("button", { type: "button", class: "link", "data-key": item.key, "aria-pressed": String(item.key === chosen), onclick: () => choose(item) }, cut(sentence(item, call), 160))),
      );
    };
    return el(
      "div",
      { class: "table-scroll" },
      el("table", { class: "rows list" }, el("caption", { class: "visually-hidden" }, "Everything that happened, in order"), el("thead", {}, el("tr", {}, ["Time", "Kind", "What"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, itemsOf(call).map(row))),
    );
  }

  function choose(item) {
    chosen = item?.key;
    ladder.mark(chosen);
    for (const button of drawing.querySelectorAll("button[data-key]")) button.setAttribute("aria-pressed", String(button.dataset.key === chosen));
    showDetail();
    if (item) {
      const heading = detail.querySelector("h2");
      heading?.focus({ preventScroll: matchMedia("(min-width: 70rem)").matches });
    }
  }

  const go = (key) => choose(itemsOf(call).find((item) => item.key === key));

  function showDetail() {
    const item = itemsOf(call).find((item) => item.key === chosen);
    const about = item?.event && call.deliveries?.filter((delivery) => delivery.eventId === item.event.id);
    const text = JSON.stringify([item, about, item?.input && raw.get(item.input.position), call.inputs?.length]);
    if (item && text === detailed) return;
    detailed = text;
    if (!item) {
      const missing = call.deliveries?.filter((delivery) => ["waiting", "expired", "dropped"].includes(delivery.state)) ?? [];
      replace(
        detail,
        empty("Choose anything", "Each message, each event and each delivery tells where it comes from and what came of it."),
        missing.length > 0 && el("p", { class: "hint" }, `${plural(missing.length, "notification")} of this call did not arrive: look at the red marks.`),
      );
      return;
    }
    replace(detail, ...{ input: inputDetail, event: eventDetail, delivery: deliveryDetail }[item.kind](item));
  }

  const heading = (text) => el("h2", { tabindex: "-1" }, text);
  const jump = (key, text) => el("button", { type: "button", class: "link", onclick: () => go(key) }, text);
  const back = (event) => {
    if (event.key === "Escape") drawing.querySelector(`[data-key="${CSS.escape(chosen ?? "")}"]`)?.focus();
  };
  detail.addEventListener("keydown", back);

  function inputDetail({ input }) {
    const caused = call.events.filter((event) => event.causes?.includes(input.position));
    const text = raw.get(input.position);
    const read = async () => {
      try {
        const { inputs } = await get(path(id, `?raw=true&all=${all}`));
        raw = new Map(inputs.map((one) => [one.position, one]));
        showDetail();
        detail.querySelector("h2")?.focus();
      } catch (error) {
        replace(said, failure(error));
      }
    };
    return [
      heading(cut(shortSummary(input) || input.kind, 200)),
      facts([
        ["Arrived", exactTime(input.arrivalTime ?? input.time)],
        ["Its own time", exactTime(input.time)],
        ["From", input.src],
        ["To", input.dst],
        ["Over", input.transport],
        ["Source", input.source && `${input.source.name} (${input.source.kind})`],
        ["Position", String(input.position)],
      ]),
      el("h3", {}, "What followed"),
      caused.length
        ? el("ul", { class: "plain" }, caused.map((event) => el("li", {}, jump(keyOf.event(event), cut(eventTitle(call, event), 160)))))
        : el("p", { class: "hint" }, "Nothing is told of it alone."),
      el("h3", {}, "The message"),
      text?.raw !== undefined
        ? el("pre", { class: "raw", tabindex: "0", role: "region", "aria-label": "The message" }, visible(text.raw).replace(/␍␊|␊/g, "\n").replace(/␉/g, "\t"))
        : text
          ? el("p", { class: "hint" }, "It is kept no longer.")
          : el("button", { type: "button", onclick: read }, "Show the message"),
    ];
  }

  function causeList(event) {
    const causes = (event.causes ?? []).map((position) => call.inputs?.find((input) => input.position === position)).filter(Boolean);
    if (!causes.length && !event.causes?.length) return el("p", { class: "hint" }, "The time that has passed.");
    if (!causes.length) return el("p", { class: "hint" }, "The messages that caused it are kept no longer.");
    return el("ul", { class: "plain" }, causes.map((input) => el("li", {}, jump(keyOf.input(input), cut(shortSummary(input) || input.kind, 120)), el("span", { class: "hint" }, ` ${exactTime(input.arrivalTime ?? input.time)}`))));
  }

  function eventDetail({ event }) {
    const deliveries = call.deliveries?.filter((delivery) => delivery.eventId === event.id) ?? [];
    return [
      heading(cut(eventTitle(call, event), 200)),
      facts([
        ["Status", badge(event.statusCode)],
        ["Reason", event.reason],
        ["Party", el("bdi", {}, cut(partyName(call, event.partyId), 80))],
        ["At", exactTime(event.time)],
        ["Stored", exactTime(event.storedTime)],
        ["Sequence", String(event.sequence)],
        ["Event", el("code", { class: "id" }, event.id)],
      ]),
      el("h3", {}, "Caused by"),
      causeList(event),
      el("h3", {}, "By the rule"),
      el("p", {}, asSentence(event.rule?.text ?? event.rule?.name ?? "")),
      event.inferred && el("p", { class: "hint" }, "It was inferred: no message says it alone."),
      (event.notes ?? []).map((note) => el("p", { class: "hint" }, asSentence(String(note)))),
      el("h3", {}, "Told to"),
      deliveries.length
        ? el(
            "ul",
            { class: "plain" },
            deliveries.map((delivery) => {
              const item = itemsOf(call).filter((item) => item.delivery === delivery).at(-1);
              return el("li", { class: "delivery", "data-look": delivery.state }, jump(item?.key, subscriberName(call, delivery.subscriptionId)), el("span", { class: "hint" }, ` ${STATES[delivery.state] ?? delivery.state}`));
            }),
          )
        : el("p", { class: "hint" }, "There was no subscription."),
      el("h3", {}, "The notification"),
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
        ["Next attempt", delivery.nextAttemptTime && exactTime(delivery.nextAttemptTime)],
        ["Written", delivery.streamed && exactTime(delivery.streamed.to)],
      ]),
      el("h3", {}, delivery.matched ? "It hears of this because" : "It does not hear of this because"),
      why(delivery.why),
      el("h3", {}, attempts.length ? plural(attempts.length, "attempt") : "Attempts"),
      attempts.length
        ? el("ol", { class: "attempts" }, attempts.map(attemptItem))
        : el("p", { class: "hint" }, delivery.matched ? "None was made by webhook." : "None: no filter matched."),
      canChange && delivery.matched && el("button", { type: "button", class: "primary", onclick: () => redeliveryDialog({ eventId: event.id, subscriptionId: delivery.subscriptionId, subscriptions: [...call.subscriptions.values()], then: load }) }, "Redeliver this event"),
      el("h3", {}, "What caused the event"),
      causeList(event),
    ];
  }

  const refresh = () => load().catch((error) => replace(said, failure(error)));
  let due;
  const soon = () => {
    clearTimeout(due);
    due = setTimeout(refresh, 250);
  };
  const unhear = live.onChange((change) => change.kind === "call" && change.call.telephonySessionId === id && soon());
  // Attempts change nothing of the call, so they are asked for while some are due.
  const polling = setInterval(() => {
    const waits = call?.deliveries?.some((delivery) => ["waiting", "sending", "queued"].includes(delivery.state));
    if (waits && !document.hidden) refresh();
  }, 2000);
  try {
    await load();
    const asked = query?.get("delivery");
    if (asked) go(itemsOf(call).filter(({ delivery }) => delivery && asked === `${delivery.subscriptionId} ${delivery.eventId}`).at(-1)?.key);
    else if (query?.get("event")) go(keyOf.event({ id: query.get("event") }));
  } catch (error) {
    if (error.status === 404) replace(place, el("p", { class: "crumbs" }, el("a", { href: "#/calls" }, "Calls")), empty("No such call", "It may be older than what is kept, or belong to another account."));
    else replace(place, failure(error));
  }
  return () => {
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
  if (!reasons?.length) return el("p", { class: "hint" }, "It is not known: the subscription is there no longer.");
  const one = ({ filter, matched, clause }) => el("li", {}, el("code", { class: "filter" }, visible(filter)), el("ul", { class: "clauses" }, el("li", { "data-look": matched ? "good" : "bad" }, visible(clause))));
  return el("ul", { class: "plain why" }, reasons.map(one));
}

function attemptItem(attempt) {
  return el(
    "li",
    { "data-look": attempt.outcome === "delivered" ? "good" : "bad" },
    el("p", {}, el("strong", {}, attempt.status ? String(attempt.status) : (STATES[attempt.outcome] ?? attempt.outcome)), ` ${exactTime(attempt.time)}, ${span(attempt.durationMs)}`, attempt.isReplay && el("span", { class: "role" }, "redelivery")),
    attempt.error && el("p", { class: "hint" }, visible(attempt.error)),
    attempt.answer && attempt.answerIsBase64 && el("p", { class: "hint" }, "The answer is no text; this is its base64:"),
    attempt.answer && el("pre", { class: "answer", tabindex: "0", role: "region", "aria-label": "The answer" }, visible(attempt.answer).replace(/␍␊|␊/g, "\n")),
    el("p", { class: "hint" }, visible(attempt.address ?? "")),
  );
}

function legend() {
  const entry = (look, text) => el("li", { "data-look": look }, text);
  return el("ul", { class: "legend", "aria-label": "Marks" }, ["Setup", "Proceeding", "Answered", "Hold", "Parked", "Disconnected"].map((state) => el("li", { "data-state": state }, state)), entry("good", "taken"), entry("bad", "failed"), entry("waiting", "waits"), entry("none", "no match"));
}
