// Every view for those who do not see it, or have no mouse; light and dark, on a desk and on a phone.

import { DESKTOP, PHONE, WIDE, assert, noteInaccessible, assertEqual, found, given, go, noteViolations, open, run, shot, signIn, until } from "./support.mjs";

run(async (browser) => {
  let checked = 0;
  for (const [screen, size] of [["wide", WIDE], ["desk", DESKTOP], ["phone", PHONE]]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(browser, { ...size, colorScheme, reducedMotion: "reduce" });
      const check = async (name) => {
        await page.waitForTimeout(100);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert(wide <= 0, `${name} on a ${screen} is ${wide} pixels too wide`);
        await noteInaccessible(page, `${name}, ${screen}, ${colorScheme}`);
        await shot(page, `${name}-${screen}-${colorScheme}`);
        checked += 1;
      };
      await page.goto(`${given.server}/console/`);
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await check("sign-in");
      await signIn(page, given.admin);
      await page.locator("tbody tr").first().waitFor();
      await check("calls");
      await go(page, `calls/${given.session}`);
      await page.locator(".item, .list tr").first().waitFor();
      for (const way of ["List", "Ladder"]) {
        await page.getByRole("button", { name: way, exact: true }).click();
        await check(`call-${way.toLowerCase()}`);
      }
      for (const kind of ["input", "event", "delivery"]) {
        await page.locator(`.ladder .item.${kind}`).first().dispatchEvent("click");
        await page.locator(".detail h2").waitFor();
        await check(`call-${kind}`);
      }
      await go(page, "subscriptions");
      await page.locator("td a").first().waitFor();
      await check("subscriptions");
      await page.getByRole("button", { name: /^Redeliver/ }).first().click();
      await page.locator("dialog").waitFor();
      await check("redelivery");
      await page.keyboard.press("Escape");
      await go(page, `subscriptions/${given.subscription}`);
      await page.locator(".facts").first().waitFor();
      await check("subscription");
      for (const view of ["live", "trial", "sources", "figures", "cluster"]) {
        await go(page, view);
        await page.locator("h1", { hasText: { live: "Live", trial: "Filter trial", sources: "Sources", figures: "Figures", cluster: "Cluster" }[view] }).waitFor();
        await page.waitForTimeout(200);
        await check(view);
      }
      await noteViolations(page);
      await page.context().close();
    }
  }

  // With the keyboard alone: skip link, views, a call, what happened in it, its details and back.
  const page = await open(browser);
  await signIn(page, given.admin);
  await page.reload();
  await page.locator("tbody tr").first().waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.getAttribute("aria-label") || document.activeElement.id);
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  await press("Tab");
  assertEqual(await focused(), "Skip to the content", "the first stop");
  await press("Enter", "Tab");
  assertEqual(await focused(), "search", "behind the skip link");
  await press("Tab", "Tab", "Tab");
  const first = await focused();
  await press("ArrowDown");
  const second = await focused();
  assert(first !== second && (await page.evaluate(() => document.activeElement.closest("tr") !== null)), `${first} ${second}`);
  await press("ArrowUp");
  assertEqual(await focused(), first, "up again");
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assertEqual(ring, "solid", "the focus is seen");
  await press("Enter");
  await page.locator(".ladder .item").first().waitFor();
  for (let stop = 0; stop < 20 && !(await page.evaluate(() => document.activeElement.classList.contains("item"))); stop += 1) await press("Tab");
  const one = await page.evaluate(() => document.activeElement.dataset.key);
  await press("ArrowDown");
  const next = await page.evaluate(() => document.activeElement.dataset.key);
  assert(one && next && one !== next, `${one} ${next}`);
  await press("Enter");
  assert(await page.evaluate(() => document.activeElement.matches(".detail h2")), "the focus is not at the details");
  await press("Escape");
  await until(async () => (await page.evaluate(() => document.activeElement.dataset.key)) === next, "the way back from the details");
  await press("End");
  assert(await page.evaluate(() => document.activeElement.classList.contains("item")), "the last");

  // Light and dark by hand, kept for the next time.
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await paper();
  await page.locator("#theme").click();
  await page.locator("#theme").click();
  await until(async () => (await paper()) !== light, "the dark");
  await page.reload();
  await page.locator("nav").waitFor();
  assert((await paper()) !== light, "dark is forgotten");
  found({ checked });
});
