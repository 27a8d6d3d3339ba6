// What came in at each stage and what became of it, and how much of it a second.

import * as live from "./live.js";
import { get } from "./api.js";
import { count, cut, el, empty, failure, replace, shownTime, span, svg, visible } from "./dom.js";

const STAGES = {
  hepFrames: ["HEP frames", "received"],
  sipMessages: ["SIP messages", "in accepted frames"],
  signals: ["Signals", "read from messages"],
  events: ["Events", "told of sessions"],
  webhookNotifications: ["Webhook notifications", "that a filter matched"],
  webSocketNotifications: ["WebSocket notifications", "that a filter matched"],
};

const WORDS = {
  accepted: "accepted",
  address: "from an unknown address",
  key: "wrong key",
  rate: "over the rate",
  malformed: "malformed",
  not_sip: "no SIP",
  without_address: "without addresses",
  busy: "no room",
  senders_full: "too many senders",
  retransmission: "retransmissions",
  in_call: "part of a call",
  no_call: "about no call",
  stray: "stray",
  refused: "refused",
  applied: "applied",
  without_leg: "without a leg",
  stored: "stored",
  repeated: "in the log before",
  acknowledged: "taken by receivers",
  expired: "too old",
  dropped: "dropped",
  pending: "due",
  sent: "sent",
};

/** Outcomes that are a loss, those that wait, and those that are as they should be. */
const LOOK = { accepted: "good", in_call: "good", applied: "good", stored: "good", acknowledged: "good", sent: "good", retransmission: "calm", no_call: "calm", not_sip: "calm", pending: "waiting", without_leg: "calm", stray: "calm", repeated: "calm" };

const PLOTS = [
  { title: "Messages taken", unit: "/s", of: (sample) => sample.messages },
  { title: "Events", unit: "/s", of: (sample) => sample.events },
  { title: "Webhooks taken", unit: "/s", of: (sample) => sample.delivered, other: { title: "failed", of: (sample) => sample.failed } },
  { title: "WebSocket notifications", unit: "/s", of: (sample) => sample.streamed },
  { title: "Open calls", unit: "", of: (sample) => sample.openCalls },
  { title: "Notifications due", unit: "", of: (sample) => sample.pending },
];

/** What is drawn of calls and deliveries over a longer time. */
const HISTORY = [
  { title: "Calls", unit: "", of: (point) => point.calls, other: { title: "missed", of: (point) => point.missed } },
  { title: "Webhooks delivered", unit: "", of: (point) => point.delivered, other: { title: "failed", of: (point) => point.failed } },
  { title: "Lag, median", unit: " ms", isOf: (point) => point.lagMs, of: (point) => point.lagMs[0] },
  { title: "Lag, 95 %", unit: " ms", isOf: (point) => point.lagMs, of: (point) => point.lagMs[1] },
  { title: "Lag, 99 %", unit: " ms", isOf: (point) => point.lagMs, of: (point) => point.lagMs[2] },
];

/** Calls and deliveries of an hour, a day or a week, of all subscriptions or one; gives what reads them again. */
function historyPart(place) {
  const pick = el("select", { id: "history-span", onchange: () => read() }, [["hour", "hour"], ["day", "day"], ["week", "week"]].map(([value, text]) => el("option", { value }, `The last ${text}`)));
  const whose = el("select", { id: "history-whose", onchange: () => read() }, el("option", { value: "" }, "all subscriptions"));
  const plots = el("div", { class: "plots history" });
  const said = el("div", { role: "status" });
  replace(place, el("h2", {}, "Calls and deliveries"), el("div", { class: "filter-fields" }, el("div", {}, el("label", { for: "history-span" }, "Of"), pick), el("div", {}, el("label", { for: "history-whose" }, "Deliveries to"), whose)), said, plots);
  let asked = 0;
  async function read() {
    const mine = (asked += 1);
    const query = new URLSearchParams({ span: pick.value });
    if (whose.value) query.set("subscriptionId", whose.value);
    try {
      const { records, stepSeconds, storeBytes } = await get(`/admin/v1/figures?${query}`);
      if (mine !== asked) return;
      replace(said, el("p", { class: "hint" }, `A point for every ${span(stepSeconds * 1000)}${storeBytes === undefined ? "" : `; the store has ${count(Math.round(storeBytes / 1_000_000))} MB`}.`));
      // Where nothing was delivered there is no lag, and none of 0 either.
      const drawn = HISTORY.map((plot) => [plot, plot.isOf ? records.filter(plot.isOf) : records]);
      replace(plots, drawn.map(([plot, points]) => points.length > 0 && plotOf(plot, points)));
    } catch (error) {
      if (mine === asked) replace(said, failure(error));
    }
  }
  async function begin() {
    const { records } = await get("/admin/v1/subscriptions");
    whose.append(...records.filter((one) => one.transport === "WebHook").map((one) => el("option", { value: one.id }, visible(cut(one.address ?? one.id, 80)))));
    await read();
  }
  begin().catch((error) => replace(said, failure(error)));
  return read;
}

export async function figuresView(place) {
  const said = el("div", {});
  const plots = el("div", { class: "plots" });
  const stages = el("div", { class: "stages" });
  const history = el("div", {});
  const summary = el("p", { class: "summary" });
  replace(place, el("div", { class: "heading" }, el("h1", {}, "Figures"), summary), said, el("h2", {}, "The last ten minutes"), plots, history, el("h2", {}, "The journey of a message"), stages);
  const readHistory = historyPart(history);
  let samples = [];
  let status;

  function drawPlots() {
    if (!samples.length) {
      replace(plots, empty("No samples yet", "The first comes within two seconds."));
      return;
    }
    replace(plots, PLOTS.map((plot) => plotOf(plot, samples)));
  }

  async function read() {
    status = await get("/admin/v1/status");
    const { store, uptimeSeconds, version } = status;
    replace(summary, `Version ${version}, up for ${span(uptimeSeconds * 1000)}, ${count(store.inputs)} inputs and ${count(store.events)} events in the log`);
    replace(said, !store.isWritable && failure(new Error(`The store cannot be written: ${store.reason}; free space or fix the disk.`)));
    if (!status.journey) {
      replace(plots, empty("Figures of the whole server", "They are shown to admin tokens, since there are several accounts."));
      replace(stages);
      return;
    }
    samples = status.rates;
    drawPlots();
    replace(stages, status.journey.map(stageOf));
  }
  await read();
  const unhear = live.onChange((change) => {
    const newest = live.samples.at(-1);
    if (change.kind !== "status" || !newest || samples.at(-1)?.time === newest.time || !status?.journey) return;
    samples = [...samples, newest].slice(-300);
    drawPlots();
  });
  const timer = setInterval(() => document.hidden || read().catch((error) => replace(said, failure(error))), 4000);
  const seldom = setInterval(() => document.hidden || readHistory(), 60_000);
  return () => {
    unhear();
    clearInterval(timer);
    clearInterval(seldom);
  };
}

function stageOf({ name, received, outcomes }) {
  const [title, what] = STAGES[name] ?? [name, "received"];
  const parts = Object.entries(outcomes).filter(([, number]) => number > 0).sort((a, b) => b[1] - a[1]);
  const sum = parts.reduce((sum, [, number]) => sum + number, 0);
  const away = received - sum;
  const look = (outcome) => LOOK[outcome] ?? "bad";
  let x = 0;
  const bar = svg("svg", { class: "bar-plot", viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" });
  const whole = Math.max(received, sum, 1);
  for (const [outcome, number] of parts) {
    const width = (number / whole) * 1000;
    bar.append(svg("rect", { x, y: 0, width: Math.max(1, width - 1), height: 14, "data-look": look(outcome) }));
    x += width;
  }
  return el(
    "section",
    { class: "stage" },
    el("h3", {}, title),
    el("p", { class: "big" }, count(received), el("span", { class: "hint" }, ` ${what}`)),
    bar,
    el("ul", { class: "plain outcomes" }, parts.map(([outcome, number]) => el("li", { "data-look": look(outcome) }, `${count(number)} ${WORDS[outcome] ?? outcome}`))),
    el("p", { class: away === 0 ? "balanced" : "hint" }, away === 0 ? "It balances." : away > 0 ? `${count(away)} on the way.` : `${count(-away)} from before the server has started.`),
  );
}

/** A plot with a line, its highest and its newest value; the numbers stand beside it as text. */
function plotOf({ title, unit, of, other }, samples) {
  const [width, height, foot] = [320, 96, 4];
  const values = samples.map(of);
  const others = other ? samples.map(other.of) : [];
  const highest = Math.max(...values, ...others);
  const top = nice(highest);
  const begin = new Date(samples[0].time).getTime();
  const end = Math.max(new Date(samples.at(-1).time).getTime(), begin + 60_000);
  const x = (sample) => ((new Date(sample.time).getTime() - begin) / (end - begin)) * width;
  const y = (value) => height - foot - (value / top) * (height - foot - 8);
  const points = (list) => samples.map((sample, index) => `${x(sample).toFixed(1)} ${y(list[index]).toFixed(1)}`);
  const shown = (value) => `${Number.isInteger(value) ? count(value) : value.toFixed(1)}${unit}`;
  const drawing = svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: width, y1: y(top), y2: y(top), class: "grid" }),
    svg("line", { x1: 0, x2: width, y1: y(top / 2), y2: y(top / 2), class: "grid" }),
    svg("line", { x1: 0, x2: width, y1: height - foot, y2: height - foot, class: "grid base" }),
    svg("path", { d: `M${points(values).join("L")}L${x(samples.at(-1)).toFixed(1)} ${height - foot}L0 ${height - foot}Z`, class: "area" }),
    svg("path", { d: `M${points(values).join("L")}`, class: "curve" }),
    other && svg("path", { d: `M${points(others).join("L")}`, class: "curve other" }),
  );
  return el(
    "figure",
    { class: "plot-card" },
    el("figcaption", {}, el("span", { class: "plot-title" }, title), el("span", { class: "plot-now" }, shown(values.at(-1)), other && el("span", { class: others.at(-1) > 0 ? "bad" : "hint" }, ` ${shown(others.at(-1))} ${other.title}`))),
    el("div", { class: "plot-box" }, el("span", { class: "plot-top hint", "aria-hidden": "true" }, shown(top)), drawing),
    el("p", { class: "hint plot-range" }, `highest ${shown(highest)}, since ${shownTime(samples[0].time)}`),
  );
}

/** The next round number. */
function nice(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
