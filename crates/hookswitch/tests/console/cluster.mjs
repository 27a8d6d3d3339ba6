// The nodes that share the work: seen by everybody, moved by those who may.

import { DESKTOP, PHONE, assert, assertEqual, found, given, go, noted, noteInaccessible, noteViolations, open, run, shot, signIn, until } from "./support.mjs";

run(async (browser) => {
  const page = await open(browser);
  await signIn(page, given.admin, "cluster");
  await page.locator(".partitions tbody tr").nth(7).waitFor();
  assertEqual(await page.locator(".nodes tbody tr").count(), 2, "nodes");
  const owners = () => page.locator('.partitions td[data-label="Node"]').allInnerTexts();
  const share = async (node) => (await owners()).filter((owner) => owner === node).length;
  const before = await owners();
  const moved = before.indexOf("b");
  const row = page.locator(`[data-partition="${moved}"]`);

  // A partition is moved to the other node, with the keyboard alone, and left to the cluster again.
  await row.getByRole("button", { name: `Move partition ${moved}` }).focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor();
  await page.locator("#move-to").selectOption("a");
  await shot(page, "cluster-move");
  await page.locator("#move-to").press("Tab");
  await page.keyboard.press("Enter");
  await row.getByText("Moved by hand").waitFor();
  await until(async () => (await owners())[moved] === "a", "the partition on the other node");
  await page.locator("main").getByText(`Partition ${moved} moves to a.`).waitFor();
  await until(() => page.evaluate(() => document.activeElement.getAttribute("aria-label")?.startsWith("Move partition")), "the focus where it was");
  await row.getByRole("button").click();
  assertEqual(await page.locator("#move-to").inputValue(), "a", "where it is pinned to");
  await page.locator("#move-to").selectOption("");
  await page.getByRole("dialog").getByRole("button", { name: "Move" }).click();
  await until(async () => JSON.stringify(await owners()) === JSON.stringify(before), "all as it was");

  // A node gives its partitions away, and has some again.
  await page.getByRole("button", { name: "Drain a" }).click();
  await page.locator('[data-node="a"]').getByText("Draining").waitFor();
  await until(async () => (await share("b")) === 8, "the other to have all");
  await shot(page, "cluster-drained");
  await page.getByRole("button", { name: "Drain b" }).click();
  await page.getByText("There is no other node that could take its partitions").waitFor();
  assert((await share("b")) === 8, "what was refused has happened");
  // The browser notes what was refused on purpose.
  noted.errors = noted.errors.filter((text) => !text.includes("the server responded with a status of 409"));
  await page.getByRole("button", { name: "Undo drain a" }).click();
  await until(async () => JSON.stringify(await owners()) === JSON.stringify(before), "all as it was");
  await page.getByText("all settled").waitFor();
  await noteViolations(page);

  // Whoever may see only has no buttons.
  const watcher = await open(browser);
  await signIn(watcher, given.watcher, "cluster");
  await watcher.locator(".partitions tbody tr").nth(7).waitFor();
  assertEqual(await watcher.locator("main button").count(), 0, "buttons of a watcher");
  await noteViolations(watcher);

  let checked = 0;
  for (const [screen, size] of [["desk", DESKTOP], ["phone", PHONE]]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(browser, { ...size, colorScheme, reducedMotion: "reduce" });
      await signIn(page, given.admin);
      await go(page, "cluster");
      const check = async (name) => {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert(wide <= 0, `${name} on a ${screen} is ${wide} pixels too wide`);
        await noteInaccessible(page, `${name}, ${screen}, ${colorScheme}`);
        await shot(page, `${name}-${screen}-${colorScheme}`);
        checked += 1;
      };
      await page.locator(".partitions tbody tr").nth(7).waitFor();
      const shown = await page.locator('nav [aria-current="page"]').evaluate((link) => link.getBoundingClientRect().right <= document.documentElement.clientWidth);
      assert(shown, `the name of the view is cut off on a ${screen}`);
      await check("cluster-nodes");
      await page.getByRole("button", { name: "Move partition 0" }).click();
      await page.locator("dialog").waitFor();
      await check("cluster-dialog");
      await page.keyboard.press("Escape");
      await noteViolations(page);
      await page.context().close();
    }
  }
  found({ checked });
});
