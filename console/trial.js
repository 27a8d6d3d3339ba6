// What a filter would have matched: tried against the events that are kept, before anybody subscribes.

import { post } from "./api.js";
import { count, cut, el, empty, failure, json, plural, replace, shownTime, visible } from "./dom.js";

const USUAL = "/restapi/v1.0/account/~/telephony/sessions";

export async function trialView(place) {
  const filters = el("textarea", { id: "filters", rows: "4", spellcheck: "false", autocapitalize: "off", required: true });
  filters.value = USUAL;
  const hours = el("select", { id: "hours" }, [[1, "last hour"], [6, "last 6 hours"], [24, "last 24 hours"], [168, "last 7 days"]].map(([value, text]) => el("option", { value }, `The ${text}`)));
  hours.value = "24";
  const extension = el("input", { id: "extension", type: "text", inputmode: "numeric", autocomplete: "off", pattern: "[0-9]*" });
  const result = el("div", { class: "result", role: "region", "aria-label": "Result" });
  const run = async (event) => {
    event.preventDefault();
    const body = { eventFilters: filters.value.split("\n").map((line) => line.trim()).filter(Boolean), hours: Number(hours.value), sample: 10 };
    if (extension.value.trim()) body.extensionId = extension.value.trim();
    try {
      draw(await post("/admin/v1/filter-trials", body));
    } catch (error) {
      replace(result, failure(error));
    }
  };
  const draw = (trial) => {
    replace(
      result,
      el("p", { class: "verdict", role: "status", "data-look": trial.matched ? "good" : "none" }, `${count(trial.matched)} of ${plural(trial.scanned, "event")} matched, in ${plural(trial.sessions, "call")}${trial.from ? `, since ${shownTime(trial.from)}` : ""}.`),
      trial.byFilter?.length > 1 && el("table", { class: "rows plain-table" }, el("caption", {}, "By filter"), el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Filter"), el("th", { scope: "col" }, "Matched"))), el("tbody", {}, trial.byFilter.map((one) => el("tr", {}, el("td", {}, el("code", { class: "filter" }, visible(one.filter))), el("td", { class: "number-cell" }, count(one.matched)))))),
      trial.sample?.length > 0 && [
        el("h2", {}, "A sample"),
        trial.sample.map((notification) => {
          const party = notification.body?.parties?.[0];
          const said = [shownTime(notification.body?.eventTime ?? notification.timestamp), party?.status?.code, party?.direction, party?.from?.phoneNumber && `from ${cut(party.from.phoneNumber, 40)}`, party?.to?.phoneNumber && `to ${cut(party.to.phoneNumber, 40)}`];
          return el("details", {}, el("summary", {}, visible(said.filter(Boolean).join(" "))), json(notification));
        }),
      ],
      trial.isCut && el("p", { class: "hint" }, "Older events of this period were not examined."),
      !trial.matched && el("p", { class: "hint" }, trial.scanned ? "Remove the query from the filter, or look further back." : "There were no events in this period."),
    );
  };
  replace(
    place,
    el("div", { class: "heading" }, el("h1", {}, "Filter trial")),
    el("p", { class: "lead" }, "See which stored events your filters would have matched, before you subscribe."),
    el(
      "form",
      { class: "trial", onsubmit: run },
      el("div", { class: "wide-field" }, el("label", { for: "filters" }, "Event filters, one per line"), filters),
      el("div", {}, el("label", { for: "hours" }, "Period"), hours),
      el("div", {}, el("label", { for: "extension" }, "Extension id that ~ stands for (optional)"), extension),
      el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Try")),
    ),
    result,
  );
  replace(result, empty("Not tried yet", "For example ", el("code", {}, `${USUAL}?statusCode=Answered`), " for answered calls."));
}
