// A message of SIP as it was on the wire: its headers, and its bodies folded.

import { el, visible } from "./dom.js";

const shown = (text) => visible(text).replace(/␍␊|␊/g, "\n").replace(/␉/g, "\t");

/** The head and the body of a message; other messages have no body. */
export function partsOf(raw) {
  const end = /\r?\n\r?\n/.exec(raw);
  const isSip = /^(SIP\/2\.0 |[A-Za-z]+ \S+ SIP\/2\.0\r?\n)/.test(raw);
  if (!isSip || !end) return { head: raw, body: "" };
  const head = raw.slice(0, end.index);
  const kind = /^(?:content-type|c)[ \t]*:[ \t]*([^;\r\n]+)/im.exec(head)?.[1].trim().toLowerCase();
  return { head, body: raw.slice(end.index + end[0].length), kind };
}

/** An SDP in a line: each medium with its address, codecs and direction (RFC 8866). */
export function sdpSummary(sdp) {
  const lines = sdp.split(/\r?\n/);
  const address = (line) => line.slice(2).split(" ")[2];
  let at;
  let way = "sendrecv";
  const media = [];
  for (const line of lines) {
    const direction = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/.exec(line)?.[1];
    if (line.startsWith("m=")) {
      const [kind, port] = line.slice(2).split(" ");
      media.push({ kind, port: port?.split("/")[0], at, way, codecs: [] });
    } else if (line.startsWith("c=")) {
      if (media.length) media.at(-1).at = address(line);
      else at = address(line);
    } else if (direction) {
      if (media.length) media.at(-1).way = direction;
      else way = direction;
    } else if (media.length) {
      const codec = /^a=rtpmap:\d+ ([^/\s]+)/.exec(line)?.[1];
      if (codec && codec !== "telephone-event") media.at(-1).codecs.push(codec);
    }
  }
  return media.map(({ kind, port, at, way, codecs }) => (port === "0" ? `${kind} refused` : [`${kind} ${at ?? ""}:${port}`, codecs.slice(0, 4).join(" "), way].filter(Boolean).join(", "))).join("; ");
}

/** A message as elements. */
export function messageView(raw) {
  const { head, body, kind } = partsOf(raw);
  const pre = (text, name) => el("pre", { class: "raw", tabindex: "0", role: "region", "aria-label": name }, shown(text));
  if (!body.trim()) return [pre(head, "The message")];
  const lines = body.trimEnd().split("\n").length;
  const isSdp = kind === "application/sdp" || (!kind && body.startsWith("v=0"));
  const said = isSdp ? `SDP: ${sdpSummary(body) || `${lines} lines`}` : `Body: ${kind ?? "of no type"}, ${lines} lines`;
  return [pre(head, "The message"), el("details", { class: "body-part" }, el("summary", {}, visible(said)), pre(body, isSdp ? "The SDP" : "The body"))];
}
