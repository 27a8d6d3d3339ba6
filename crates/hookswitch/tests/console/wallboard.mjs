// The wallboard with a thousand calls that go on and change: tiles stay, and no frame is long.

import { assert, assertEqual, found, given, go, noteInaccessible, noteViolations, open, run, shot, signIn, step, until } from "./support.mjs";

/** The longest that the page may keep its thread busy at once, in milliseconds. */
const BUSY_MAX = 50;

run(async (browser) => {
  const page = await open(browser);
  await signIn(page, given.admin, "live");
  const tiles = () => page.locator(".tile:not([hidden])").count();
  await until(async () => (await page.locator(".summary").innerText()).startsWith(`${given.calls.toLocaleString("en")} calls in progress`), "all calls");
  await until(async () => (await tiles()) === given.tiles, "a tile for each extension and queue");
  const queue = page.locator(".wall-queues .tile").first();
  assert(/Sales\s*600/.test(await queue.innerText()), await queue.innerText());
  assert(/\d+ waiting/.test(await queue.innerText()), await queue.innerText());
  await shot(page, "wallboard");

  // A tile changes in place: the element is the same, and none other was touched.
  await page.evaluate(() => {
    window.touched = new Set();
    window.first = document.querySelector('.wall-extensions .tile[data-state="Proceeding"]');
    new MutationObserver((records) => {
      for (const { type, target, addedNodes } of records) {
        const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
        if (node?.closest(".tile-time")) continue;
        if (type === "childList" && addedNodes.length) window.touched.add("new");
        else window.touched.add(node?.closest(".tile")?.dataset.key);
      }
    }).observe(document.querySelector(".wall-extensions"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  await step("answer first");
  await until(() => page.evaluate(() => window.first.dataset.state === "Answered" && window.first.isConnected), "the answered call");
  assertEqual(await page.evaluate(() => [...window.touched]), [await page.evaluate(() => window.first.dataset.key)], "what was touched");

  // Calls end and begin, and the browser says by its own tracing how long its frames were.
  await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "disabled-by-default-devtools.timeline.frame", "__metadata"] });
  for (let turn = 0; turn < given.turns; turn += 1) {
    await step("turn");
    await page.mouse.wheel(0, turn % 2 ? -400 : 400);
    await page.waitForTimeout(100);
  }
  const { traceEvents } = JSON.parse(await browser.stopTracing());
  const renderers = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ name, ph, pid, tid }) => (name === "RunTask" || name === "ThreadControllerImpl::RunTask") && ph === "X" && renderers.has(`${pid} ${tid}`));
  assert(tasks.length > 100, `${tasks.length} tasks`);
  const longest = (key) => Math.max(...tasks.map((task) => task[key] ?? 0)) / 1000;
  const frames = traceEvents.filter(({ name }) => name === "DrawFrame").length;
  const dropped = traceEvents.filter(({ name }) => name === "DroppedFrame").length;
  // The time on the thread, which other programs on the machine do not lengthen.
  assert(longest("tdur") > 0 && longest("tdur") < BUSY_MAX, `a task of ${longest("tdur")} ms`);
  await until(async () => (await page.locator(".summary").innerText()).startsWith(`${given.calls.toLocaleString("en")} calls in progress`), "as many calls as before");
  await noteInaccessible(page, "wallboard");

  // It is filtered, used with the keyboard, and leads to the call.
  await page.fill("#tile-filter", "Agent 7");
  await until(async () => (await tiles()) < given.tiles / 2, "the tiles that match");
  await page.locator(".wall-extensions .tile:not([hidden]) a").first().focus();
  const focused = () => page.evaluate(() => document.activeElement.closest(".tile")?.dataset.key);
  const before = await focused();
  await page.keyboard.press("ArrowRight");
  assert((await focused()) && (await focused()) !== before, "the keys do not move");
  await page.keyboard.press("Enter");
  await page.locator(".ladder .item").first().waitFor();
  await go(page, "live");
  await noteViolations(page);
  found({ tasks: tasks.length, longestThreadMs: longest("tdur"), longestMs: longest("dur"), frames, dropped });
});
