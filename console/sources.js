// Who sends signalling, how much, and what of it was not taken.

import { get } from "./api.js";
import { ago, badge, count, cut, el, empty, failure, replace } from "./dom.js";

const KINDS = { hep: "HEP", ami: "Asterisk (AMI)", esl: "FreeSWITCH (ESL)", ari: "Asterisk (ARI)", ingest: "HTTP ingest" };

const CAUSES = { key: "wrong key", rate: "over its rate", malformed: "not understood", noCall: "not about calls", busy: "no room" };

/** After so long without a message a source counts as silent, in milliseconds. */
const SILENT_MS = 300_000;

export async function sourcesView(place) {
  const body = el("tbody", {});
  const nothing = el("div", {});
  const said = el("div", {});
  const table = el("table", { class: "rows sources" }, el("caption", { class: "visually-hidden" }, "Sources of signalling"), el("thead", {}, el("tr", {}, ["State", "Source", "Kind", "Rate", "Accepted", "Rejected", "Last message"].map((name) => el("th", { scope: "col" }, name)))), body);
  replace(place, el("div", { class: "heading" }, el("h1", {}, "Sources")), said, table, nothing);

  async function draw() {
    const { sources } = await get("/admin/v1/status");
    const heard = sources.some((source) => source.lastTime);
    table.hidden = !sources.length;
    replace(nothing, !heard && empty("No messages yet", "Point a HEP agent to the address that ", el("code", {}, "hep.listen"), " names, connect an Asterisk in ", el("code", {}, "[[ami.source]]"), ", or post signals to ", el("code", {}, "/ingest/v1/signals"), "."));
    const row = (source) => {
      const state = source.connected === false ? "lost" : !source.lastTime ? "never" : Date.now() - new Date(source.lastTime) > SILENT_MS ? "silent" : "heard";
      const dropped = Object.entries(source.dropped);
      return el(
        "tr",
        {},
        el("td", { "data-label": "State" }, badge(state, { lost: "Not connected", never: "Never heard", silent: "Silent", heard: source.connected ? "Connected" : "Heard" }[state])),
        el("th", { scope: "row", "data-label": "Source" }, el("bdi", {}, cut(source.name, 80))),
        el("td", { "data-label": "Kind" }, KINDS[source.kind] ?? source.kind),
        el("td", { class: "number-cell", "data-label": "Rate" }, `${source.perSecond.toFixed(1)}/s`),
        el("td", { class: "number-cell", "data-label": "Accepted" }, count(source.messages)),
        el("td", { class: "number-cell", "data-label": "Rejected" }, dropped.length ? el("ul", { class: "plain drops" }, dropped.map(([cause, number]) => el("li", {}, `${count(number)} ${CAUSES[cause] ?? cause}`))) : el("span", { class: "none" }, "none")),
        el("td", { "data-label": "Last message" }, source.lastTime ? el("time", { datetime: source.lastTime, title: source.lastTime }, ago(source.lastTime)) : el("span", { class: "none" }, "never")),
      );
    };
    replace(body, sources.map(row));
  }
  await draw();
  const timer = setInterval(() => document.hidden || draw().then(() => replace(said), (error) => replace(said, failure(error))), 2000);
  return () => clearInterval(timer);
}
