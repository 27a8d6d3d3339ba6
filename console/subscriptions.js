// Subscriptions and how they are doing; tested, renewed, and told again.

import { get, post, remove } from "./api.js";
import { ago, announce, badge, count, cut, el, empty, facts, failure, plural, replace, shownTime, span, time, visible } from "./dom.js";

/** The states, for people. */
const STATES = {
  good: "Good",
  idle: "Idle",
  failing: "Failing",
  behind: "Behind",
  away: "Away",
  suspended: "Suspended",
  blacklisted: "Blacklisted",
  expired: "Expired",
};

const SAID = {
  good: "The last attempt was delivered.",
  idle: "Nothing has been sent since the server started.",
  failing: "The last attempt failed; it will be tried again.",
  behind: "More notifications are due than fit in memory; the rest follow from the log.",
  away: "The WebSocket is not connected.",
  suspended: "Nothing is sent now; it will continue where it stopped.",
  blacklisted: "It has failed for too long and is no longer tried; renew it when the receiver is back.",
  expired: "It has expired; its owner has to create a new one.",
};

const REFRESH_MS = 2000;

function target(one) {
  return one.address ?? "WebSocket";
}

function lag(health) {
  if (!health.lagEvents && !health.unreadEvents) return "none";
  const oldest = health.oldestWaiting ? `, since ${ago(health.oldestWaiting)}` : "";
  const unread = health.unreadEvents ? ` and ${count(health.unreadEvents)} unread` : "";
  return `${count(health.lagEvents)} due${unread}${oldest}`;
}

function lastFailure(failed) {
  if (!failed) return el("span", { class: "none" }, "none");
  return el("span", { class: "last-failure" }, el("time", { datetime: failed.time, title: failed.time }, ago(failed.time)), failed.status ? ` ${failed.status}` : "", el("span", { class: "hint" }, ` ${cut(failed.error, 160)}`));
}

/** The buttons of a subscription, for those who may change something. */
function actions(one, said, then) {
  const run = async (button, work) => {
    button.disabled = true;
    try {
      const text = await work();
      replace(said, text);
      announce(said.textContent);
    } catch (error) {
      replace(said, failure(error));
    }
    button.disabled = false;
    then?.();
  };
  const test = el("button", { type: "button", onclick: () => run(test, async () => tested(await post(`/admin/v1/subscriptions/${one.id}/test`))) }, "Test");
  const renew = el("button", {
    type: "button",
    onclick: () => run(renew, async () => el("p", { class: "done" }, `Renewed until ${shownTime((await post(`/admin/v1/subscriptions/${one.id}/renew`)).expirationTime)}.`)),
  }, "Renew");
  const again = el("button", { type: "button", onclick: () => redeliveryDialog({ subscriptionId: one.id, subscriptions: [one], then }) }, "Redeliver");
  const name = visible(cut(target(one), 60));
  const path = `/admin/v1/subscriptions/${one.id}`;
  const pause = el("button", {
    type: "button",
    onclick: () => run(pause, async () => el("p", { class: "done" }, ((await post(`${path}/pause`)), "Paused; notifications wait in the log."))),
  }, "Pause");
  const resume = el("button", {
    type: "button",
    onclick: () => run(resume, async () => el("p", { class: "done" }, `Resumed; it is ${(await post(`${path}/resume`)).status}.`)),
  }, "Resume");
  const end = el("button", {
    type: "button",
    onclick: () => confirm(`Delete the subscription of ${name}? What is due to it is dropped.`) && run(end, async () => el("p", { class: "done" }, ((await remove(path)), "Deleted."))),
  }, "Delete");
  for (const button of [test, renew, pause, resume, end, again]) button.setAttribute("aria-label", `${button.textContent} ${name}`);
  return el("div", { class: "actions" }, one.transport === "WebHook" && test, renew, pause, resume, one.transport === "WebHook" && again, end);
}

function tested(attempt) {
  const good = attempt.outcome === "delivered";
  return el("p", { class: good ? "done" : "failure" }, visible(good ? `The receiver has answered ${attempt.status} in ${span(attempt.durationMs)}.` : `The test failed after ${span(attempt.durationMs)}: ${attempt.error}.`));
}

export async function subscriptionsView(place, { canChange }) {
  const body = el("tbody", {});
  const nothing = el("div", {});
  const said = el("div", { class: "said" });
  const summary = el("p", { class: "summary" });
  const columns = ["State", "Subscriber", "Lag", "Last success", "Last failure", "Last hour", ...(canChange ? ["Actions"] : [])];
  const table = el("table", { class: "rows subscriptions" }, el("caption", { class: "visually-hidden" }, "Subscriptions, the newest first"), el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))), body);
  replace(place, el("div", { class: "heading" }, el("h1", {}, "Subscriptions"), summary), said, table, nothing);
  const rows = new Map();

  async function draw() {
    const { records } = await get("/admin/v1/subscriptions");
    const bad = records.filter((one) => ["failing", "blacklisted", "suspended", "behind"].includes(one.health.state)).length;
    replace(summary, records.length ? `${plural(records.length, "subscription")}${bad ? `, ${count(bad)} with problems` : ", all well"}` : "");
    table.hidden = !records.length;
    replace(nothing, records.length ? undefined : empty("No subscriptions yet", "An application subscribes with ", el("code", {}, "POST /restapi/v1.0/subscription"), "; the document of the API is at ", el("a", { href: "/docs" }, "/docs"), "."));
    const wanted = records.map((one) => {
      let row = rows.get(one.id);
      if (!row) {
        row = el("tr", { "data-id": one.id }, columns.map((name) => el("td", { "data-label": name })));
        if (canChange) replace(row.lastChild, actions(one, said, () => draw().catch(() => {})));
        const link = el("a", { href: `#/subscriptions/${encodeURIComponent(one.id)}` }, el("bdi", {}, cut(target(one), 90)));
        replace(row.children[1], link, el("span", { class: "filters hint" }, cut(one.eventFilters.join(", "), 120)));
        rows.set(one.id, row);
      }
      const { health } = one;
      row.dataset.state = health.state;
      const [state, , due, success, failed, hour] = row.children;
      replace(state, badge(health.state, STATES[health.state]));
      replace(due, lag(health));
      replace(success, health.lastSuccessTime ? el("time", { datetime: health.lastSuccessTime }, ago(health.lastSuccessTime)) : el("span", { class: "none" }, "never"));
      replace(failed, lastFailure(health.lastFailure));
      replace(hour, el("span", {}, `${count(health.succeededLastHour)} taken`, health.failedLastHour > 0 && el("span", { class: "bad" }, `, ${count(health.failedLastHour)} failed`)));
      return row;
    });
    if (wanted.length !== body.children.length || wanted.some((row, index) => row !== body.children[index])) replace(body, wanted);
  }
  await draw();
  const timer = setInterval(() => document.hidden || draw().catch((error) => replace(said, failure(error))), REFRESH_MS);
  return () => clearInterval(timer);
}

export async function subscriptionView(place, { id, canChange }) {
  const said = el("div", { class: "said" });
  const content = el("div", {});
  const calls = el("div", {});
  replace(place, el("p", { class: "crumbs" }, el("a", { href: "#/subscriptions" }, "Subscriptions")), content, said, calls);
  let drawn;
  let isWebhook = false;

  async function draw() {
    const one = await get(`/admin/v1/subscriptions/${encodeURIComponent(id)}`);
    const { health } = one;
    isWebhook = one.transport === "WebHook";
    if (!drawn) {
      const name = el("h1", { class: "address" }, el("bdi", {}, cut(target(one), 200)));
      drawn = { state: el("span", {}), sentence: el("p", {}), facts: el("div", {}) };
      replace(
        content,
        el("div", { class: "heading" }, name, drawn.state, el("span", { class: "spring" }), canChange && actions(one, said, () => draw().catch(() => {}))),
        drawn.sentence,
        drawn.facts,
        el("h2", {}, "Event filters"),
        el("ul", { class: "plain" }, one.eventFilters.map((filter) => el("li", {}, el("code", { class: "filter" }, visible(filter))))),
      );
    }
    replace(drawn.state, badge(health.state, STATES[health.state]));
    replace(drawn.sentence, SAID[health.state] ?? "");
    replace(
      drawn.facts,
      facts([
        ["Lag", lag(health)],
        ["Last success", time(health.lastSuccessTime)],
        ["Last failure", lastFailure(health.lastFailure)],
        ["Last hour", `${count(health.succeededLastHour)} taken, ${count(health.failedLastHour)} failed`],
        ["Status", one.suspendedData ? `${one.status}: ${visible(one.suspendedData.reason)}` : one.status],
        ["Rights", one.keepsEarlierRights ? "from before calls of the account took a role; its user has none" : (one.disabledFilters?.length ? `${plural(one.disabledFilters.length, "filter")} without effect: ${visible(one.disabledFilters[0].message)}` : "all filters have effect")],
        ["Transport", one.transport],
        ["Created", time(one.creationTime)],
        ["Expires", time(one.expirationTime)],
        ["Owner", `extension ${one.owner.extensionId} of account ${one.owner.accountId}`],
        ["Application", el("code", { class: "id" }, one.owner.clientId)],
        ["Id", el("code", { class: "id" }, one.id)],
      ]),
    );
  }
  try {
    await draw();
  } catch (error) {
    if (error.status !== 404) throw error;
    replace(content, empty("No such subscription", "It was deleted, or belongs to another account."));
    return undefined;
  }
  if (isWebhook) await attemptsPart(calls, id);
  else replace(calls, el("h2", {}, "Calls"), el("p", {}, "Open a call to see which notifications this subscriber was sent, and why not others: ", el("a", { href: "#/calls" }, "calls"), "."));
  const timer = setInterval(() => document.hidden || draw().catch((error) => replace(said, failure(error))), REFRESH_MS);
  return () => clearInterval(timer);
}

/** How an attempt went, for people. */
const OUTCOMES = { delivered: "Delivered", refused: "Refused", timedOut: "Timed out", failed: "Failed", gone: "Gone" };

/** What was done to deliver, the newest first, with filters and the totals of the last hour and day. */
function attemptsPart(place, id) {
  const field = (name, label, input) => el("div", {}, el("label", { for: `attempt-${name}` }, label), input);
  const choice = (name, options) => el("select", { id: `attempt-${name}`, onchange: () => read() }, options.map(([value, text]) => el("option", { value }, text)));
  const outcome = choice("outcome", [["", "all"], ["isFailed=true", "not delivered"], ...Object.entries(OUTCOMES).map(([value, text]) => [`outcome=${value}`, text.toLowerCase()])]);
  const late = choice("late", [["", "any"], ["1", "1 s or more"], ["10", "10 s or more"], ["60", "a minute or more"], ["600", "10 minutes or more"]]);
  const since = choice("since", [["", "as long as they are kept"], ["1", "the last hour"], ["24", "the last day"]]);
  const status = el("input", { id: "attempt-status", type: "text", inputmode: "numeric", autocomplete: "off", oninput: () => read() });
  const totals = el("p", { class: "summary", id: "attempt-totals" });
  const body = el("tbody", {});
  const said = el("div", { role: "status" });
  const columns = ["Time", "Outcome", "Answer", "Lag", "Attempt", "Call"];
  const table = el("table", { class: "rows attempts" }, el("caption", { class: "visually-hidden" }, "Attempts, the newest first"), el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))), body);
  const more = el("button", { type: "button", id: "older-attempts", hidden: true, onclick: () => read(next) }, "Show older attempts");
  let next;
  let asked = 0;
  const total = (name, { delivered, failed, longestLagMs }) => `${name}: ${count(delivered)} delivered, ${count(failed)} failed${delivered ? `, the slowest after ${span(longestLagMs)}` : ""}`;
  const row = (one) =>
    el(
      "tr",
      { "data-outcome": one.outcome },
      el("td", { "data-label": "Time" }, time(one.time)),
      el("td", { "data-label": "Outcome" }, el("span", { class: one.outcome === "delivered" ? "" : "bad" }, OUTCOMES[one.outcome] ?? one.outcome)),
      el("td", { "data-label": "Answer" }, [one.status, one.error].filter(Boolean).map((text) => visible(cut(text, 160))).join(" "), one.answer && el("span", { class: "hint" }, ` ${cut(one.answer, 160)}`)),
      el("td", { "data-label": "Lag", class: "number-cell" }, span(one.lagMs)),
      el("td", { "data-label": "Attempt", class: "number-cell" }, count(one.attempt), one.redelivery && el("span", { class: "hint" }, " redelivery")),
      el("td", { "data-label": "Call" }, one.telephonySessionId ? el("a", { href: `#/calls/${encodeURIComponent(one.telephonySessionId)}?delivery=${encodeURIComponent(`${id} ${one.telephonySessionId}:${one.sequence}`)}` }, one.telephonySessionId.slice(0, 14)) : el("span", { class: "none" }, "gone")),
    );
  async function read(before) {
    const query = new URLSearchParams(outcome.value);
    if (late.value) query.set("lateSeconds", late.value);
    if (status.value.trim()) query.set("status", status.value.trim());
    if (since.value) query.set("from", new Date(Date.now() - Number(since.value) * 3_600_000).toISOString());
    if (before) query.set("before", before);
    const mine = (asked += 1);
    try {
      const page = await get(`/admin/v1/subscriptions/${encodeURIComponent(id)}/attempts?${query}`);
      if (mine !== asked) return;
      const rows = page.records.map(row);
      if (before) body.append(...rows);
      else replace(body, rows);
      next = page.next;
      more.hidden = !next;
      table.hidden = !body.children.length;
      replace(totals, `${total("Last hour", page.lastHour)}. ${total("Last day", page.lastDay)}.`);
      replace(said, body.children.length ? el("p", { class: "hint" }, `${count(body.children.length)} of ${plural(page.total, "attempt")} shown.`) : el("p", { class: "hint" }, "No attempt matches."));
    } catch (error) {
      if (mine === asked) replace(said, failure(error));
    }
  }
  replace(
    place,
    el("h2", {}, "Attempts"),
    totals,
    el("div", { class: "filter-fields" }, field("outcome", "Outcome", outcome), field("status", "Status", status), field("late", "Late by", late), field("since", "Of", since), el("button", { type: "button", class: "quiet", id: "read-attempts", onclick: () => read() }, "Refresh")),
    said,
    table,
    more,
  );
  return read();
}

// --- Redelivery ---

/**
 * Asks what is to be told again, and to whom; shows how much that is before anything is sent, and how it goes on.
 * `eventId` or `telephonySessionId` says what; else a range of time is asked for.
 */
export function redeliveryDialog({ eventId, telephonySessionId, subscriptionId, subscriptions, then }) {
  const webhooks = subscriptions.filter((one) => one.transport === "WebHook" && one.status !== "Expired");
  const said = el("div", {});
  const whom = el("select", { id: "redeliver-whom" }, webhooks.map((one) => el("option", { value: one.id }, visible(cut(target(one), 80)))));
  if (subscriptionId) whom.value = subscriptionId;
  const address = el("input", { id: "redeliver-address", type: "url", placeholder: "https://other.example/hook", autocomplete: "off" });
  const minutes = el("select", { id: "redeliver-range" }, [[15, "15 minutes"], [60, "hour"], [360, "6 hours"], [1440, "24 hours"]].map(([value, text]) => el("option", { value }, `The last ${text}`)));
  const spacing = el("input", { id: "redeliver-spacing", type: "checkbox" });
  const confirm = el("button", { type: "button", class: "primary", id: "redeliver-confirm", hidden: true });
  const preview = el("button", { type: "submit", class: "primary", id: "redeliver-preview" }, "Preview");
  const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
  let polling;
  const request = (isPreview) => {
    const body = { spacing: spacing.checked ? "original" : "none", preview: isPreview };
    if (whom.value) body.subscriptionId = whom.value;
    if (address.value.trim()) body.address = address.value.trim();
    if (eventId) body.eventId = eventId;
    else if (telephonySessionId) body.telephonySessionId = telephonySessionId;
    else {
      body.to = new Date().toISOString();
      body.from = new Date(Date.now() - Number(minutes.value) * 60_000).toISOString();
    }
    return post("/admin/v1/redeliveries", body);
  };
  const forget = () => {
    confirm.hidden = true;
    preview.hidden = false;
    replace(said);
  };
  const show = async (event) => {
    event.preventDefault();
    try {
      const found = await request(true);
      if (!found.count) {
        replace(said, el("p", { role: "status" }, "There is nothing to redeliver: no such event matched this subscriber."));
        return;
      }
      replace(said, el("p", { class: "preview", role: "status" }, `${plural(found.count, "notification")} of ${plural(found.sessions, "call")}.`));
      confirm.textContent = `Redeliver ${plural(found.count, "notification")}`;
      confirm.hidden = false;
      preview.hidden = true;
      confirm.focus();
    } catch (error) {
      replace(said, failure(error));
    }
  };
  const start = async () => {
    confirm.hidden = true;
    try {
      follow((await request(false)).id);
    } catch (error) {
      replace(said, failure(error));
      preview.hidden = false;
    }
  };
  const follow = (id) => {
    const look = async () => {
      try {
        const now = await get(`/admin/v1/redeliveries/${encodeURIComponent(id)}`);
        const running = now.state === "running";
        replace(
          said,
          el("p", { class: now.failed ? "failure" : running ? "" : "done", role: "status" }, visible(`${count(now.delivered)} of ${count(now.count)} delivered${now.failed ? `, ${count(now.failed)} failed` : ""}${running ? "…" : now.state === "cancelled" ? "; it was cancelled." : "."}${now.lastError ? ` ${now.lastError}` : ""}`)),
          el("progress", { max: Math.max(1, now.count), value: now.delivered, "aria-label": "Delivered" }),
          now.state === "failed" && el("button", { type: "button", onclick: () => post(`/admin/v1/redeliveries/${encodeURIComponent(id)}/resume`).then(look, (error) => replace(said, failure(error))) }, "Continue"),
          running && el("button", { type: "button", onclick: () => remove(`/admin/v1/redeliveries/${encodeURIComponent(id)}`).catch((error) => replace(said, failure(error))) }, "Cancel"),
        );
        if (running) polling = setTimeout(look, 500);
        else then?.();
      } catch (error) {
        replace(said, failure(error));
      }
    };
    look();
  };
  confirm.addEventListener("click", start);
  const what = eventId ? "this event" : telephonySessionId ? "this call" : "a range of time";
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": "redeliver-title" },
    el("h2", { id: "redeliver-title" }, `Redeliver ${what}`),
    el("p", { class: "hint" }, "Notifications are sent again in their order, with a header that marks them as a redelivery."),
    el(
      "form",
      { onsubmit: show, onchange: forget },
      webhooks.length > 0 ? [el("label", { for: "redeliver-whom" }, "Notifications for"), whom] : el("p", { class: "hint" }, "There is no webhook subscription; enter an address."),
      el("label", { for: "redeliver-address" }, "To another address (optional)"),
      address,
      !eventId && !telephonySessionId && [el("label", { for: "redeliver-range" }, "Of"), minutes],
      el("label", { class: "check" }, spacing, " Keep the original pauses between them"),
      el("div", { class: "actions" }, preview, confirm, close),
    ),
    said,
  );
  dialog.addEventListener("close", () => {
    clearTimeout(polling);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}
