// The calls and figures of the moment, shared by all views: one stream for the whole page.

import { get } from "./api.js";
import { follow } from "./stream.js";

/** The most calls that are kept; of those that have ended the oldest go first, and open ones stay. */
const CALLS_MAX = 1000;
const SAMPLES_MAX = 300;

export const calls = new Map();
export const samples = [];
export const state = { connected: undefined, openCalls: undefined, isWritable: true, loaded: false };

const listeners = new Set();
let stop;

/** Told of each change: `{kind: "call", call, before}`, `{kind: "calls"}`, `{kind: "status"}`. Gives what ends that. */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(change) {
  for (const listener of listeners) listener(change);
}

/** Begins to follow, for whoever has signed in. */
export async function start() {
  end();
  stop = follow("/admin/v1/live?open=true", {
    call: put,
    open: (open) => {
      // What is no longer among them has ended while nobody listened, and is read with the list.
      take({ records: open });
      tell({ kind: "calls" });
    },
    status: (pulse) => {
      Object.assign(state, { openCalls: pulse.openCalls, isWritable: pulse.isWritable });
      if (pulse.sample?.time && samples.at(-1)?.time !== pulse.sample.time) {
        samples.push(pulse.sample);
        if (samples.length > SAMPLES_MAX) samples.shift();
      }
      tell({ kind: "status" });
    },
    reload: () => load(),
    state: (connected) => {
      state.connected = connected;
      tell({ kind: "status" });
    },
  });
  await load();
}

/** Stops, and forgets everything. */
export function end() {
  stop?.();
  stop = undefined;
  calls.clear();
  samples.length = 0;
  Object.assign(state, { connected: undefined, openCalls: undefined, isWritable: true, loaded: false });
}

function put(call) {
  const before = calls.get(call.telephonySessionId);
  if (before && before.lastPosition > call.lastPosition) return;
  calls.set(call.telephonySessionId, { ...before, ...call });
  if (calls.size > CALLS_MAX * 1.2) {
    const over = [...calls.values()].filter((known) => !known.isOpen).sort((a, b) => a.lastPosition - b.lastPosition);
    for (const old of over.slice(0, calls.size - CALLS_MAX)) calls.delete(old.telephonySessionId);
  }
  tell({ kind: "call", call, before });
}

function take(page) {
  for (const call of page.records) {
    const known = calls.get(call.telephonySessionId);
    if (!known || known.lastPosition <= call.lastPosition) calls.set(call.telephonySessionId, call);
  }
}

/** Reads the newest calls that the log has. */
export async function load() {
  try {
    const page = await get("/admin/v1/sessions?limit=100");
    take(page);
    Object.assign(state, { loaded: true, error: undefined });
  } catch (error) {
    Object.assign(state, { loaded: true, error });
  }
  tell({ kind: "calls" });
}
