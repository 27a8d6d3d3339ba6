// Hostile strings in every view: nothing runs, nothing asks, nothing is markup.

import { readFileSync } from "node:fs";
import { ask, assert, assertEqual, found, given, go, noted, noteViolations, open, run, shot, signIn, until } from "./support.mjs";

/** What a page of the console consists of; anything else would have come from a caller. */
const OWN = "html head meta title link script body a header img nav ul li span button main div h1 h2 h3 p table caption thead tbody tr th td time bdi label input select option textarea form section svg g line path rect circle text dl dt dd pre code details summary figure figcaption ol strong noscript dialog progress".split(" ");

run(async (browser) => {
  const page = await open(browser);
  await signIn(page, given.admin);
  const check = async (what) => {
    const alien = await page.evaluate((own) => {
      const all = [...document.querySelectorAll("*")];
      const odd = all.filter((node) => !own.includes(node.localName) || [...node.attributes].some(({ name, value }) => name.startsWith("on") || (name === "style" && value !== "") || name === "srcdoc"));
      return [...odd.map((node) => node.outerHTML.slice(0, 200)), ...(document.scripts.length === 1 && document.images.length === 1 ? [] : ["more scripts or images than there are"])];
    }, OWN);
    assertEqual(alien, [], `${what} has what is not its own`);
  };
  // The list, all of it.
  await until(async () => {
    await page.locator("#older").click({ timeout: 1000 }).catch(() => {});
    return page.locator(".summary").innerText().then((text) => text.includes(`0 open, ${given.calls} ended`));
  }, `${given.calls} calls`);
  await check("the list");
  await shot(page, "hostile-calls");
  for (const text of ["<script>", "\"><script src", "=1+1", "\u202e"]) {
    await page.fill("#search", text);
    await page.waitForTimeout(400);
    assert((await page.locator("tbody tr").count()) > 0, `${text} is not found`);
    await check(`the search for ${text}`);
  }
  await page.fill("#search", "");

  // As a table for spreadsheets no cell is a formula.
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  const cells = parse(readFileSync(await download.path(), "utf8").replace(/^\ufeff/, ""));
  assertEqual(cells.length, given.calls + 1, "rows of the file");
  assert(cells.every((row) => row.length === 12), "a row has another number of cells");
  const formulas = cells.flat().filter((cell) => /^[\s]*[=+\-@\t\r]/.test(cell));
  assertEqual(formulas, [], "cells that are formulas");
  assert(cells.flat().some((cell) => cell.startsWith("'=")), "nothing would have been a formula");

  // Each call: the ladder and the list, and what is told of a message, an event and a delivery.
  const { records } = await all();
  let visited = 0;
  let bytes = 0;
  for (const { telephonySessionId } of records) {
    await go(page, `calls/${telephonySessionId}`);
    await page.locator(".call-title").waitFor();
    await page.locator(".ladder .item").first().waitFor();
    // As fast as a hand could not: all that is drawn is chosen in turn.
    await page.evaluate(() => {
      const click = (node) => node?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      for (const kind of ["event", "delivery[data-look=bad]", "input"]) click(document.querySelector(`.ladder .item.${kind}`));
    });
    if (visited % 20 === 0) {
      await page.locator(".detail pre.raw").waitFor();
      bytes += (await page.locator(".detail pre.raw").innerText()).length;
      await page.getByRole("button", { name: "List", exact: true }).click();
      await check("the list of a call");
      await page.getByRole("button", { name: "Ladder", exact: true }).click();
    }
    await check(`call ${telephonySessionId}`);
    visited += 1;
  }
  assert(bytes > 0, "no message was shown");
  for (const view of ["subscriptions", `subscriptions/${given.subscription}`, "sources", "figures", "cluster", "trial"]) {
    await go(page, view);
    await page.waitForTimeout(300);
    if (view === "trial") {
      await page.getByRole("button", { name: "Try" }).click();
      await page.locator(".result details").first().waitFor();
      await page.locator(".result details summary").first().click();
    }
    await check(view);
    await shot(page, `hostile-${view.split("/").join("-").slice(0, 20)}`);
  }
  await page.getByRole("link", { name: "Sources" }).click();
  await page.getByText("<img src=x onerror=alert(1)>").waitFor();
  await noteViolations(page);
  // A line of ours that made markup of text would throw, and a script that came in all the same would not run.
  const tried = await page.evaluate(async () => {
    let thrown = 0;
    for (const make of [(node) => (node.innerHTML = "<b>x"), () => document.write("x"), (node) => node.setHTMLUnsafe?.("<b>x"), () => new DOMParser().parseFromString("<b>x", "text/html"), (node) => node.setAttribute("onclick", "window.ran = true")]) {
      try {
        make(document.createElement("div"));
      } catch {
        thrown += 1;
      }
    }
    const frame = document.createElement("iframe");
    frame.src = "/docs";
    document.body.append(frame);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { thrown, framed: frame.contentDocument?.body?.textContent.length > 0 };
  });
  assertEqual(tried, { thrown: 5, framed: false }, "what the policy keeps from happening");
  noted.errors = noted.errors.filter((text) => !/Content Security Policy|Trusted(HTML|Script)|Framing/.test(text));
  found({ visited, cells: cells.flat().length });
});

/** All sessions, page by page. */
async function all() {
  const records = [];
  let next = "";
  for (;;) {
    const page = await ask(`/sessions?limit=200${next && `&before=${next}`}`);
    records.push(...page.records);
    if (!page.next || !page.records.length) return { records };
    next = page.next;
  }
}

/** The cells of a file (RFC 4180). */
function parse(text) {
  const rows = [[]];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/y;
  while (cell.lastIndex < text.length) {
    const [, quoted, plain, end] = cell.exec(text) ?? (() => { throw new Error(`no cell at ${cell.lastIndex}`); })();
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === "\r\n" && cell.lastIndex < text.length) rows.push([]);
  }
  return rows;
}
