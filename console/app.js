// The page: who is signed in, which view is shown, and what all views have around them.

import * as api from "./api.js";
import * as live from "./live.js";
import { clock, offset, onClock, setClock, zone } from "./clock.js";
import { count, el, failure, replace } from "./dom.js";
import { callView } from "./call.js";
import { callsView } from "./calls.js";
import { clusterView } from "./cluster.js";
import { figuresView } from "./figures.js";
import { signInView } from "./sign-in.js";
import { sourcesView } from "./sources.js";
import { subscriptionView, subscriptionsView } from "./subscriptions.js";
import { trialView } from "./trial.js";
import { wallboardView } from "./wallboard.js";

/** The views by the first part of the hash; with a second part, of one thing. */
const VIEWS = [
  { path: "calls", name: "Calls", list: callsView, one: callView },
  { path: "live", name: "Live", list: wallboardView },
  { path: "subscriptions", name: "Subscriptions", list: subscriptionsView, one: subscriptionView },
  { path: "trial", name: "Filter trial", list: trialView },
  { path: "sources", name: "Sources", list: sourcesView },
  { path: "figures", name: "Figures", list: figuresView },
  { path: "cluster", name: "Cluster", list: clusterView },
];

const main = document.getElementById("main");
const top = document.getElementById("top");

/** Who has signed in, as the server says. */
let me;
let leave = () => {};
let shown;

// --- Light and dark ---

const THEMES = ["auto", "light", "dark"];

function theme() {
  const kept = localStorage.getItem("hookswitch-theme");
  return THEMES.includes(kept) ? kept : "auto";
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

function themeSwitch() {
  const button = el("button", { type: "button", class: "quiet", id: "theme" });
  const label = () => {
    const [sign, word] = { auto: ["◐", "Auto"], light: ["☼", "Light"], dark: ["☾", "Dark"] }[theme()];
    replace(button, sign, el("span", { class: "word" }, ` ${word}`));
    button.setAttribute("aria-label", `${sign} ${word} colours; change`);
  };
  button.addEventListener("click", () => {
    localStorage.setItem("hookswitch-theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    applyTheme();
    label();
  });
  label();
  return button;
}

function clockSwitch() {
  const button = el("button", { type: "button", class: "quiet", id: "clock", onclick: () => setClock(clock() === "utc" ? "local" : "utc") });
  const label = () => {
    button.textContent = offset();
    button.title = clock() === "utc" ? "Times are in UTC" : `Times are those of ${zone()}`;
    button.setAttribute("aria-label", `${offset()}: ${button.title}; change`);
  };
  label();
  return button;
}

// --- What stands above all views ---

const pulse = el("span", { class: "pulse" });

function drawPulse() {
  const { connected, openCalls, isWritable } = live.state;
  pulse.dataset.state = connected === false ? "lost" : isWritable ? "good" : "bad";
  replace(
    pulse,
    connected === false
      ? "reconnecting"
      : !isWritable
        ? "store not writable"
        : openCalls === undefined
          ? "connecting"
          : `${count(openCalls)} open`,
  );
}

function drawTop(route) {
  const brand = el("a", { class: "brand", href: "#/calls" }, el("img", { src: "icon.svg", alt: "", width: "24", height: "24" }), "Hookswitch");
  if (!me) {
    replace(top, brand, el("span", { class: "spring" }), themeSwitch());
    return;
  }
  const link = (view) =>
    el("li", {}, el("a", { href: `#/${view.path}`, "aria-current": route?.view === view ? "page" : undefined }, view.name));
  const who = el("span", { class: "who" }, me.name, me.role === "read-only" && el("span", { class: "role" }, "read-only"));
  const leaveButton = el("button", { type: "button", class: "quiet", id: "sign-out", onclick: () => api.signOut() }, "Sign out");
  replace(
    top,
    brand,
    el("nav", { "aria-label": "Views" }, el("ul", {}, VIEWS.map(link))),
    el("span", { class: "spring" }),
    pulse,
    who,
    clockSwitch(),
    themeSwitch(),
    leaveButton,
  );
  // On a phone the names of the views are wider than the screen.
  top.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
  drawPulse();
}

// --- Which view ---

function route() {
  const [address, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [path, ...rest] = address.split("/");
  const view = VIEWS.find((view) => view.path === path);
  const id = rest.length ? decoded(rest.join("/")) : undefined;
  if (!view) return { view: VIEWS[0] };
  return { view, id: view.one ? id : undefined, query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shows what the address names. The focus goes to the new content, unless the page was just opened. */
async function show() {
  leave();
  leave = () => {};
  const is_first = shown === undefined;
  if (!me) {
    shown = "sign-in";
    drawTop();
    document.title = "Sign in – Hookswitch";
    replace(main, signInView());
    return;
  }
  const now = route();
  const key = `${now.view.path}/${now.id ?? ""}`;
  shown = key;
  drawTop(now);
  document.title = `${now.id ? `${now.view.name}: ${now.id.slice(0, 12)}` : now.view.name} – Hookswitch`;
  const place = el("div", { class: `view view-${now.view.path}${now.id ? " one" : ""}` });
  replace(main, place);
  window.scrollTo(0, 0);
  try {
    const view = now.id ? now.view.one : now.view.list;
    const left = await view(place, { id: now.id, query: now.query, me, canChange: me.role === "full" });
    if (shown === key) leave = left ?? (() => {});
    else left?.();
  } catch (error) {
    replace(place, failure(error));
  }
  if (!is_first) main.focus({ preventScroll: true });
}

/** Finds out who has signed in, and begins. */
async function enter() {
  me = undefined;
  if (api.isSignedIn()) {
    try {
      me = await api.get("/admin/v1/me");
      live.start();
    } catch (error) {
      if (![401, 403].includes(error.status)) {
        // The server may be starting again; the login is kept for it.
        replace(main, failure(error));
        setTimeout(enter, 2000);
        return;
      }
      await api.signOut();
      live.end();
      await show();
      main.append(failure(error));
      return;
    }
  } else {
    live.end();
  }
  await show();
}

applyTheme();
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) {
    api.takeTokenOfAddress();
    enter();
  } else {
    show();
  }
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
live.onChange((change) => change.kind === "status" && drawPulse());
onClock(() => {
  if (!me) return;
  // A call redraws itself, and keeps what is chosen in it.
  if (route().id === undefined) show();
  else drawTop(route());
});

let entered = false;
api.takeTokenOfAddress();
await enter();
entered = true;
let signedIn = api.isSignedIn();
api.onSignIn((login) => {
  // Another token of the same login is no other login.
  if (entered && (login !== undefined) !== signedIn) {
    signedIn = login !== undefined;
    enter();
  }
});
