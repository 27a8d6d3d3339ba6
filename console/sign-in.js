// Signing in: with an admin token, or with an account by way of the server's page to log in.

import { beginLogin, signInWithToken } from "./api.js";
import { el, failure, replace } from "./dom.js";

export function signInView() {
  const said = el("div", {});
  const field = el("input", {
    id: "token",
    name: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const submit = async (event) => {
    event.preventDefault();
    replace(said);
    try {
      await signInWithToken(field.value.trim());
    } catch (error) {
      replace(said, failure(error.status === 401 ? new Error("The server does not know this token; compare it with what hookswitch init has printed.") : error));
      field.select();
    }
  };
  const account = async () => {
    replace(said);
    try {
      await beginLogin();
    } catch (error) {
      replace(said, failure(error));
    }
  };
  return el(
    "section",
    { class: "sign-in", "aria-labelledby": "sign-in-title" },
    el("h1", { id: "sign-in-title" }, "Sign in"),
    el("p", { class: "lead" }, "See every call as it happens, and why each subscriber was told or was not."),
    el("button", { type: "button", class: "primary wide", onclick: account }, "Sign in with your account"),
    el("p", { class: "or" }, el("span", {}, "or")),
    el(
      "form",
      { onsubmit: submit },
      el("label", { for: "token" }, "Admin token"),
      field,
      el("p", { class: "hint" }, "hookswitch init has printed one. It stays in this tab."),
      el("button", { type: "submit", class: "wide" }, "Sign in with the token"),
    ),
    said,
  );
}
