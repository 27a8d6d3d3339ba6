// By which clock times are shown: that of this browser, UTC, or the time since a call began.

const KEPT = "hookswitch-clock";

/** The clocks that hold everywhere, and how each is called. */
export const CLOCKS = { local: "Local time", utc: "UTC" };

const listeners = new Set();
let chosen = localStorage.getItem(KEPT) === "utc" ? "utc" : "local";

/** Which clock is chosen: `local` or `utc`. */
export const clock = () => chosen;

/** Chooses a clock, also for the next time. */
export function setClock(name) {
  if (!(name in CLOCKS) || name === chosen) return;
  chosen = name;
  localStorage.setItem(KEPT, name);
  for (const listener of listeners) listener(name);
}

/** Told of each choice. Gives what ends that. */
export function onClock(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const formats = new Map();

function format(kind, options) {
  const key = `${kind} ${chosen}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { ...options, timeZone: chosen === "utc" ? "UTC" : undefined }));
  return formats.get(key);
}

/** The zone in which times are shown, such as `UTC` or `Europe/Berlin`. */
export function zone() {
  return chosen === "utc" ? "UTC" : format("clock", { hour: "2-digit" }).resolvedOptions().timeZone;
}

/** How far the zone is from UTC at a time, such as `UTC+02:00`. */
export function offset(at = new Date()) {
  const minutes = chosen === "utc" ? 0 : -at.getTimezoneOffset();
  if (!minutes) return "UTC";
  const two = (number) => String(number).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

const timeOf = (at) => format("time", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(at);
const dayOf = (at) => format("day", { year: "numeric", month: "short", day: "numeric" }).format(at);

/** The time of day, and the day if it is another than today. */
export function shownTime(text) {
  const at = new Date(text ?? NaN);
  if (Number.isNaN(at.getTime())) return "";
  return dayOf(at) === dayOf(new Date()) ? timeOf(at) : `${dayOf(at)}, ${timeOf(at)}`;
}

/** The time of day with milliseconds. */
export function exactTime(text) {
  const at = new Date(text ?? NaN);
  if (Number.isNaN(at.getTime())) return "";
  return `${timeOf(at)}.${String(at.getUTCMilliseconds()).padStart(3, "0")}`;
}

/** The day, the time of day and the zone, which leave nothing to guess. */
export function wholeTime(text) {
  const at = new Date(text ?? NaN);
  return Number.isNaN(at.getTime()) ? "" : `${dayOf(at)}, ${exactTime(text)} ${offset(at)}`;
}

/** The time since another, such as `+3.250` or `+1:02.007`. */
export function sinceTime(text, start) {
  const ms = new Date(text).getTime() - start;
  if (Number.isNaN(ms)) return "";
  const [sign, all] = [ms < 0 ? "−" : "+", Math.abs(ms)];
  const [hours, minutes, seconds] = [Math.floor(all / 3_600_000), Math.floor(all / 60_000) % 60, Math.floor(all / 1000) % 60];
  const two = (number) => String(number).padStart(2, "0");
  const head = hours ? `${hours}:${two(minutes)}:${two(seconds)}` : minutes ? `${minutes}:${two(seconds)}` : String(seconds);
  return `${sign}${head}.${String(all % 1000).padStart(3, "0")}`;
}
