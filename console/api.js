// Requests to this server with the token of whoever has signed in.
//
// The token is kept for the tab alone. It is sent in a header and stands in no address, so that no log has it.

const KEPT = "hookswitch";
const CLIENT = "hookswitch-console";

/** What went wrong, as the server has said it. */
export class ApiError extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let login = read();
let refreshing;
const listeners = new Set();

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? undefined;
  } catch {
    return undefined;
  }
}

function keep(value) {
  login = value;
  if (value) sessionStorage.setItem(KEPT, JSON.stringify(value));
  else sessionStorage.removeItem(KEPT);
  for (const listener of listeners) listener(value);
}

/** Whether there is a token. */
export function isSignedIn() {
  return login !== undefined;
}

/** Told when somebody has signed in or out. */
export function onSignIn(listener) {
  listeners.add(listener);
}

/** Takes an admin token, if the server knows it. */
export async function signInWithToken(token) {
  const me = await request("GET", "/admin/v1/me", undefined, token);
  keep({ token });
  return me;
}

/** Takes the token that stands in the address, as `hookswitch demo` prints it; takes it out of the address at once. */
export function takeTokenOfAddress() {
  const found = /^#token=([A-Za-z0-9_~.+/=-]+)(?:&(.*))?$/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, "", `${location.pathname}#/${found[2]?.replace(/^\//, "") ?? "calls"}`);
  keep({ token: found[1] });
}

/** Forgets the token; one that was issued for the console ends. */
export async function signOut() {
  const { refresh } = login ?? {};
  keep(undefined);
  if (refresh) await form("/restapi/oauth/revoke", { token: refresh, client_id: CLIENT }).catch(() => {});
}

// --- Users: a name and a password become tokens, which are refreshed as long as somebody is here ---

/** In which ways somebody can sign in here. */
export async function signInWays() {
  const answer = await fetch("server.json", { cache: "no-store" });
  return (await answer.json()).signIn;
}

/** Signs a user in. */
export async function signInWithPassword(name, password) {
  const answer = await fetch("sign-in", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name, password }) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, body.error_description ?? "The server has refused to sign you in.", body.error);
  take(body);
}

function take(tokens) {
  keep({ token: tokens.access_token, refresh: tokens.refresh_token });
}

async function form(path, fields) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, body.error_description ?? "The server has refused to sign you in.", body.error);
  return body;
}

/** Gets another access token; requests that find the old one bad at the same time share it. */
function refresh() {
  refreshing ??= form("/restapi/oauth/token", { grant_type: "refresh_token", refresh_token: login.refresh, client_id: CLIENT })
    .then(take)
    .finally(() => (refreshing = undefined));
  return refreshing;
}

// --- Requests ---

async function send(method, path, body, token, extra) {
  const headers = { Authorization: `Bearer ${token}`, ...extra?.headers };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: extra?.signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer; it may be starting again.");
  }
}

/** Sends a request for whoever has signed in, with another token if theirs has run out; gives the answer as it is. */
export async function sendWithLogin(method, path, body, extra) {
  if (!login) throw new ApiError(401, "You are not signed in.");
  let answer = await send(method, path, body, login.token, extra);
  if (answer.status === 401 && login?.refresh) {
    try {
      await refresh();
      answer = await send(method, path, body, login.token, extra);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (error.status === 0) throw error;
    }
  }
  if (answer.status === 401) keep(undefined);
  return answer;
}

async function readAnswer(answer) {
  const text = await answer.text();
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    body = undefined;
  }
  if (answer.ok) return body;
  throw new ApiError(answer.status, body?.message ?? `The server has answered ${answer.status}.`, body?.errors?.[0]?.errorCode);
}

async function request(method, path, body, token) {
  return readAnswer(token ? await send(method, path, body, token) : await sendWithLogin(method, path, body));
}

/** Reads a resource. */
export const get = (path) => request("GET", path);
/** Posts to a resource. */
export const post = (path, body) => request("POST", path, body ?? {});
/** Deletes a resource. */
export const remove = (path) => request("DELETE", path);

/** Downloads what a resource gives, as a file. */
export async function download(path, name) {
  const answer = await sendWithLogin("GET", path);
  if (!answer.ok) return readAnswer(answer);
  save(await answer.blob(), name);
}

/** Lets the browser save some bytes as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
