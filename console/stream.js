// Server-sent events of this server, followed with the token of whoever has signed in.

import { isSignedIn, sendWithLogin } from "./api.js";

/**
 * Follows a stream of server-sent events until told to stop, and goes on where it was after a loss. `EventSource` cannot
 * send a token in a header, so the stream is read here (HTML §9.2.6).
 */
export function follow(path, on) {
  const stop = new AbortController();
  let last;
  const run = async () => {
    let wait = 500;
    while (!stop.signal.aborted && isSignedIn()) {
      try {
        const headers = { Accept: "text/event-stream", ...(last === undefined ? {} : { "Last-Event-ID": last }) };
        const answer = await sendWithLogin("GET", path, undefined, { headers, signal: stop.signal });
        if (answer.ok) {
          on.state?.(true);
          wait = 500;
          for await (const event of events(answer.body, (id) => (last = id))) on[event.name]?.(event.data);
        } else if (answer.status === 401 || answer.status === 403) {
          return;
        }
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      if (stop.signal.aborted) return;
      on.state?.(false);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 10_000);
    }
  };
  run();
  return () => stop.abort();
}

async function* events(body, identified) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let event = { name: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const lines = buffer.split("\n");
    buffer = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length) yield { name: event.name, data: JSON.parse(event.data.join("\n")) };
        event = { name: "message", data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event.name = text;
      else if (field === "data") event.data.push(text);
      else if (field === "id") identified(text);
    }
  }
}
