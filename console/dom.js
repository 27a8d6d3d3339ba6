// Elements and texts. All that comes from outside becomes a text node here, and never markup.

import { exactTime, shownTime, wholeTime } from "./clock.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "open") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** An element of HTML with attributes, listeners (`onclick`) and children; strings become text. */
export function el(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An element of SVG. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Puts children in place of those that are there. */
export function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
}

export { exactTime, shownTime };

/** An element that tells a time. */
export function time(text) {
  return text ? el("time", { datetime: text, title: wholeTime(text) }, shownTime(text)) : el("span", { class: "none" }, "never");
}

/** A span of milliseconds, as people say it. */
export function span(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${seconds} s`;
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** How long ago something was. */
export function ago(text) {
  const ms = Date.now() - new Date(text).getTime();
  if (ms < 2000) return "just now";
  if (ms < 60_000) return `${Math.round(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min ago`;
  if (ms < 86_400_000) return `${Math.round(ms / 3_600_000)} h ago`;
  return shownTime(text);
}

const numberFormat = new Intl.NumberFormat("en");

/** A count, with its thousands told apart. */
export function count(number) {
  return numberFormat.format(number ?? 0);
}

/** A noun with its number: `1 call`, `2 calls`, `2 parties`. */
export function plural(number, noun) {
  const more = /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${count(number)} ${number === 1 ? noun : more}`;
}

/** One end of a leg: the name and the number, as far as they are known. */
export function endText(end) {
  const parts = [end?.name, end?.phoneNumber ?? end?.extensionNumber].filter(Boolean);
  return parts.length ? parts.join(" ") : "unknown";
}

/** The same as an element, which cuts what is long. */
export function endElement(end) {
  const number = end?.phoneNumber ?? end?.extensionNumber;
  if (!end?.name && !number) return el("span", { class: "end none" }, "unknown");
  return el(
    "span",
    { class: "end" },
    end.name && [el("bdi", { class: "name" }, cut(end.name, 120)), " "],
    number && el("bdi", { class: "number" }, cut(number, 64)),
  );
}

/** A text of at most so many characters; what steers a terminal or the direction of the page is shown as it is called. */
export function cut(text, length) {
  const shown = visible(String(text));
  const characters = Array.from(shown);
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : shown;
}

/** A text in which control characters and marks of direction can be seen. */
export function visible(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g, (character) => {
    const code = character.codePointAt(0);
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A badge with the word of a state; the colour is in the style sheet. */
export function badge(state, text = state) {
  return el("span", { class: "badge", "data-state": state }, text);
}

/** What is shown where there is nothing, and what to do about it. */
export function empty(title, ...said) {
  return el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, ...said));
}

/** An error in one sentence. */
export function failure(error) {
  return el("p", { class: "failure", role: "alert" }, visible(error?.message ?? String(error)));
}

/** JSON, laid out for reading. */
export function json(value) {
  return el("pre", { class: "json", tabindex: "0", role: "region", "aria-label": "JSON" }, JSON.stringify(value, null, 2));
}

/** A definition list of pairs; empty values are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return el("dl", { class: "facts" }, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

let announced = 0;
let waiting = [];
let timer;

/** Tells screen readers, at most every four seconds, of what has happened meanwhile. */
export function announce(text) {
  waiting.push(text);
  if (timer) return;
  const wait = Math.max(0, announced + 4000 - Date.now());
  timer = setTimeout(() => {
    timer = undefined;
    announced = Date.now();
    const said = waiting.length > 3 ? `${waiting.length} changes; the last: ${waiting.at(-1)}` : waiting.join(". ");
    waiting = [];
    const announcer = document.getElementById("announcer");
    if (announcer) announcer.textContent = said;
  }, wait);
}
