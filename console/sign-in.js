// Signing in: as a user with a name and a password, or with an admin token. Only what works on this server is offered.

import { signInWays, signInWithPassword, signInWithToken } from "./api.js";
import { el, failure, replace } from "./dom.js";

export function signInView() {
  const said = el("div", {});
  const ways = el("div", {});
  const attempt = (work, field) => async (event) => {
    event.preventDefault();
    replace(said);
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      await work();
    } catch (error) {
      replace(said, failure(error));
      field.select();
    } finally {
      if (button) button.disabled = false;
    }
  };

  function userForm() {
    const name = el("input", { id: "name", name: "username", autocomplete: "username", spellcheck: "false", autocapitalize: "off", required: true });
    const password = el("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
    return el(
      "form",
      { onsubmit: attempt(() => signInWithPassword(name.value.trim(), password.value), password) },
      el("label", { for: "name" }, "Extension or phone number"),
      name,
      el("label", { for: "password" }, "Password"),
      password,
      el("button", { type: "submit", class: "primary wide" }, "Sign in"),
    );
  }

  function tokenForm(isOnly) {
    const field = el("input", { id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-hint" });
    const work = () =>
      signInWithToken(field.value.trim()).catch((error) => {
        throw error.status === 401 ? new Error("This is not a valid admin token of this server.") : error;
      });
    return el(
      "form",
      { onsubmit: attempt(work, field) },
      el("label", { for: "token" }, "Admin token"),
      field,
      el("p", { class: "hint", id: "token-hint" }, "hookswitch init prints one, and hookswitch token create makes more. It is kept in this tab only."),
      el("button", { type: "submit", class: isOnly ? "primary wide" : "wide" }, isOnly ? "Sign in" : "Sign in with the token"),
    );
  }

  async function offer() {
    // Who cannot ask is offered what always works.
    const { user } = await signInWays().catch(() => ({}));
    replace(ways, user && [userForm(), el("p", { class: "or" }, el("span", {}, "or"))], tokenForm(!user));
  }
  offer();
  return el(
    "section",
    { class: "sign-in", "aria-labelledby": "sign-in-title" },
    el("h1", { id: "sign-in-title" }, "Sign in"),
    el("p", { class: "lead" }, "See every call as it happens, and why each subscriber was or was not notified."),
    ways,
    said,
  );
}
