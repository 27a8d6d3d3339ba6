// Who signs in how, and what they may then.

import { assert, assertEqual, found, given, go, noted, noteViolations, open, run, shot, signIn, until } from "./support.mjs";

const BUTTONS = /^(Test|Renew|Redeliver)/;

run(async (browser) => {
  // A token that is typed in; one that is wrong is refused in a sentence.
  const page = await open(browser);
  await page.goto(`${given.server}/`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert(page.url().endsWith("/console/"), page.url());
  await shot(page, "sign-in");
  await page.getByLabel("Admin token").fill("not a token");
  await page.keyboard.press("Enter");
  await page.getByText("This is not a valid admin token").waitFor();
  forgive("401");
  await page.getByLabel("Admin token").fill(given.admin);
  await page.keyboard.press("Enter");
  await page.locator("nav").waitFor();
  await go(page, "subscriptions");
  await page.locator("td a").first().waitFor();
  assertEqual(await page.getByRole("button", { name: BUTTONS }).count(), 3, "buttons of an operator");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assertEqual(await page.evaluate(() => [sessionStorage.length, Object.keys(localStorage)]), [0, []], "what is kept after signing out");

  // A read-only token sees everything and has no buttons; the server refuses it besides.
  const watcher = await open(browser);
  await signIn(watcher, given.watcher, "subscriptions");
  await watcher.locator("td a").first().waitFor();
  assert((await watcher.locator(".who").innerText()).includes("read-only"), "the role is not shown");
  assertEqual(await watcher.getByRole("button", { name: BUTTONS }).count(), 0, "buttons of a watcher");
  await go(watcher, `subscriptions/${given.subscription}`);
  await watcher.locator(".facts").first().waitFor();
  assertEqual(await watcher.getByRole("button", { name: BUTTONS }).count(), 0, "buttons of a watcher");
  await go(watcher, `calls/${given.session}`);
  await watcher.locator(".ladder .item.delivery").first().click();
  await watcher.getByRole("heading", { name: /attempt/i }).waitFor();
  assertEqual(await watcher.getByRole("button", { name: BUTTONS }).count(), 0, "buttons of a watcher");
  const statuses = await watcher.evaluate(async (id) => {
    const { token } = JSON.parse(sessionStorage.getItem("hookswitch"));
    const post = (path, body) => fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body }).then((answer) => answer.status);
    return Promise.all([post(`/admin/v1/subscriptions/${id}/test`), post(`/admin/v1/subscriptions/${id}/renew`), post("/admin/v1/redeliveries", "{}")]);
  }, given.subscription);
  assertEqual(statuses, [403, 403, 403], "what the server says to a watcher");
  forgive("403");

  // As a user, on the same page.
  const user = await open(browser);
  await user.goto(`${given.server}/console/#/sources`);
  await user.getByLabel("Extension or phone number").fill("101");
  await user.getByLabel("Password").fill("wrong password");
  await user.keyboard.press("Enter");
  await user.getByText("The name or the password is wrong").waitFor();
  forgive("400");
  await user.getByLabel("Password").fill(given.password);
  await user.keyboard.press("Enter");
  await user.locator("nav").waitFor();
  assert(user.url().endsWith("/console/#/sources"), user.url());
  assert((await user.locator(".who").innerText()).includes("Extension 101"), "who has signed in is not shown");
  // The tokens outlive the access token: the refresh token gives others.
  await user.evaluate(() => {
    const login = JSON.parse(sessionStorage.getItem("hookswitch"));
    sessionStorage.setItem("hookswitch", JSON.stringify({ ...login, token: "expired" }));
  });
  await user.reload();
  await user.locator("nav").waitFor();
  assert((await user.locator(".who").innerText()).includes("Extension 101"), "the login is lost");
  forgive("401");
  // A user without the console is told so.
  const other = await open(browser);
  await other.goto(`${given.server}/console/`);
  await other.getByLabel("Extension or phone number").fill("102");
  await other.getByLabel("Password").fill(given.password);
  await other.keyboard.press("Enter");
  await other.getByText("Your account has no access to the console").waitFor();
  forgive("403");
  for (const one of [page, watcher, user, other]) await noteViolations(one);
  found({});
});

/** What was refused on purpose is an error of a request in the eyes of the browser. */
function forgive(status) {
  noted.errors = noted.errors.filter((text) => !text.includes(`the server responded with a status of ${status}`));
}
