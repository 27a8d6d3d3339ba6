// A call to take along: as text, as a picture of its own.

import { sinceTime, wholeTime, zone } from "./clock.js";
import { exactTime, svg, visible } from "./dom.js";
import { callName, hostName, sentence } from "./story.js";

/** Puts a text where it can be pasted; pages that are not served safely have no clipboard but the old one. */
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("This browser does not let the page copy; save it instead.");
}

/** A call as lines of text, one for each thing that happened. */
export function callText(call, items, since) {
  const start = items[0]?.at ?? 0;
  const timeOf = (text) => (since ? sinceTime(text, start) : exactTime(text));
  const width = Math.max(8, ...items.map((item) => timeOf(item.time).length));
  const kinds = { input: "message", event: "event", delivery: "delivery" };
  const hosts = (call.hosts ?? []).filter((host) => host.name).map((host) => `  ${host.address}  ${host.name}`);
  const address = (item) => (item.input?.src ? `  (${item.input.src} → ${item.input.dst})` : "");
  return [
    callName(call),
    `Session ${(call.shown ?? [call.telephonySessionId]).join(", ")}`,
    `Started ${wholeTime(call.startTime)}; times ${since ? "since the first message" : `in ${zone()}`}`,
    ...(hosts.length ? ["Hosts", ...hosts] : []),
    "",
    ...items.map((item) => `${timeOf(item.time).padStart(width)}  ${kinds[item.kind].padEnd(8)}  ${sentence(item, call)}${address(item)}`),
    "",
  ].map((line) => visible(line)).join("\n");
}

/** What of the style sheet a picture must bring along. */
const STYLE = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];

function withStyle(node) {
  const copy = node.cloneNode(false);
  for (const name of [...copy.getAttributeNames()]) {
    if (/^(class|role|tabindex|aria-|data-|href)/.test(name)) copy.removeAttribute(name);
  }
  if (node instanceof SVGElement && !(node instanceof SVGTitleElement)) {
    const style = getComputedStyle(node);
    for (const name of STYLE) copy.setAttribute(name, style.getPropertyValue(name));
  }
  for (const child of node.childNodes) copy.append(child.nodeType === Node.ELEMENT_NODE ? withStyle(child) : child.cloneNode());
  return copy;
}

/** The ladder as a picture that needs nothing else; with the colours that are shown. */
export function callPicture({ corner, head, axis, body }, call) {
  const size = (node) => ["width", "height"].map((name) => Number(node.getAttribute(name)));
  const [left, top] = size(corner);
  const [width, height] = size(body);
  const paper = getComputedStyle(body.closest(".drawing")).backgroundColor;
  const at = (node, x, y) => svg("g", { transform: `translate(${x} ${y})` }, [...node.childNodes].map((child) => (child.nodeType === Node.ELEMENT_NODE ? withStyle(child) : child.cloneNode())));
  const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: left + width, height: top + height, viewBox: `0 0 ${left + width} ${top + height}` }, svg("title", {}, visible(callName(call))), svg("rect", { width: left + width, height: top + height, fill: paper }), at(corner, 0, 0), at(head, left, 0), at(axis, 0, top), at(body, left, top));
  return new XMLSerializer().serializeToString(whole).replaceAll(/<(\/?)a\b/g, "<$1g");
}
