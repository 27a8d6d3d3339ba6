// The console in Chromium, as the tests drive it: what it asked for, said and ran is all noted.
//
// The test that runs a script does what the script asks for by `step`, since it holds the phones and the receivers.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.CONSOLE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** What the test has said: addresses, tokens, ids. */
export const given = JSON.parse(process.env.CONSOLE_GIVEN);

/** How long something may take that is waited for, in milliseconds. */
export const PATIENCE = 30_000;

export const DESKTOP = { viewport: { width: 1440, height: 900 } };
export const WIDE = { viewport: { width: 1920, height: 1080 } };
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** All that went wrong in any page. */
export const noted = { dialogs: [], errors: [], foreign: [], inaccessible: [], requests: 0, violations: [] };

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Lets the test do something, and gives what it says to it. */
export async function step(name) {
  process.stdout.write(`${JSON.stringify({ step: name })}\n`);
  const { value, done } = await lines.next();
  if (done) throw new Error(`the test is gone at ${name}`);
  return JSON.parse(value);
}

/** Says what was found. */
export function found(values) {
  process.stdout.write(`${JSON.stringify({ found: values })}\n`);
}

export function assert(holds, what) {
  if (!holds) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

export function assertEqual(left, right, what) {
  assert(JSON.stringify(left) === JSON.stringify(right), `${what}: ${JSON.stringify(left)} is not ${JSON.stringify(right)}`);
}

/** Runs a script with a browser, and ends it whatever comes. */
export async function run(script) {
  const browser = await chromium.launch({
    executablePath: process.env.CONSOLE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    await script(browser);
    assertEqual(noted.dialogs, [], "dialogs");
    assertEqual(noted.foreign, [], "requests to foreign hosts");
    assertEqual(noted.errors, [], "errors in the console of the browser");
    assertEqual(noted.violations, [], "violations of the policy");
    assertEqual(noted.inaccessible, [], "what some people cannot use");
    assert(noted.requests > 0, "nothing was asked for");
  } catch (error) {
    process.stderr.write(`${error.stack}\n${JSON.stringify(noted)}\n`);
    for (const context of browser.contexts()) {
      for (const page of context.pages()) await shot(page, `failed-${process.argv[1].split("/").at(-1)}`).catch(() => {});
    }
    process.exitCode = 1;
  } finally {
    await browser.close();
    process.exit();
  }
}

/** A page in a context of its own, in which everything is noted. */
export async function open(browser, options = DESKTOP) {
  const context = await browser.newContext({ ...options, acceptDownloads: true });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(() => {
    window.noted = [];
    document.addEventListener("securitypolicyviolation", (event) => window.noted.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  const page = await context.newPage();
  page.on("dialog", (dialog) => {
    noted.dialogs.push(dialog.message());
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") noted.errors.push(message.text());
  });
  page.on("pageerror", (error) => noted.errors.push(error.stack));
  page.on("request", (request) => {
    noted.requests += 1;
    const url = new URL(request.url());
    if (url.protocol !== "blob:" && url.protocol !== "data:" && url.origin !== new URL(given.server).origin) noted.foreign.push(request.url());
  });
  return page;
}

/** Signs in with a token that stands in the address, as the demo prints it. */
export async function signIn(page, token, hash = "calls") {
  await page.goto(`${given.server}/console/#token=${token}`);
  await page.locator("nav").waitFor();
  assert(!page.url().includes(token), "the token is in the address still");
  await go(page, hash);
}

/** Goes to another view without reading the page anew. */
export async function go(page, hash) {
  await page.evaluate((hash) => (location.hash = `#/${hash}`), hash);
  await page.locator("h1").first().waitFor();
}

/** Notes what the policy has kept from running in a page. */
export async function noteViolations(page) {
  noted.violations.push(...(await page.evaluate(() => window.noted)));
}

/** Notes what axe finds, of any weight. */
export async function noteInaccessible(page, what) {
  // Through the debugger, which no policy of the page keeps from it.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const said = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary.split("\n")[1]}`).join(" | ")}`);
  noted.inaccessible.push(...said.map((text) => `${what}: ${text}`));
}

/** Keeps what a page looks like. */
export async function shot(page, name) {
  mkdirSync(process.env.CONSOLE_SHOTS, { recursive: true });
  await page.screenshot({ path: `${process.env.CONSOLE_SHOTS}/${name}.png` });
}

/** Asks the admin API, as the test itself. */
export async function ask(path) {
  const answer = await fetch(`${given.server}/admin/v1${path}`, { headers: { Authorization: `Bearer ${given.admin}` } });
  assert(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** Waits until something holds. */
export async function until(holds, what) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}
