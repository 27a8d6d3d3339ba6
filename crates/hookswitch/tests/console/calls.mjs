// A call as it comes, changes and ends; its ladder; a webhook that fails, from the miss to the cause, and told again.

import { readFileSync } from "node:fs";
import { ask, assert, assertEqual, found, given, noteViolations, open, run, shot, signIn, step, until } from "./support.mjs";

run(async (browser) => {
  const page = await open(browser);
  await signIn(page, given.admin);
  await page.getByText("No call yet").waitFor();
  await page.evaluate(() => (window.same = true));

  // It appears, changes and ends while the page stays.
  await step("ring");
  const row = page.locator("tbody tr").first();
  await row.locator(".badge", { hasText: "Proceeding" }).waitFor();
  assertEqual(await row.locator(".from").innerText(), "<script>alert('Ann')</script>\n101", "who calls");
  assertEqual(await page.locator(".summary").innerText(), "1 open, 0 ended", "the summary");
  await step("answer");
  await row.locator(".badge", { hasText: "Answered" }).waitFor();
  await step("hang up");
  await row.locator(".badge", { hasText: "Disconnected" }).waitFor();
  await page.getByText("0 open, 1 ended").waitFor();
  await until(() => page.locator("#announcer").innerText().then((text) => text.includes("has ended")), "the end to be said");
  assert(await page.evaluate(() => window.same === true), "the page was read anew");

  // The newest stand first, and are found.
  await step("another");
  await page.locator("tbody tr").nth(1).waitFor();
  assertEqual(await page.locator("tbody tr .from .number").allInnerTexts(), ["103", "101"], "the order");
  await page.fill("#search", "103");
  await until(async () => (await page.locator("tbody tr").count()) === 1, "the one that is looked for");
  await page.fill("#search", "nobody at all");
  await page.getByText("No such call").waitFor();
  await page.fill("#search", "");

  // What is searched stands in the address, is counted, and is found again by it.
  const shown = (number) => until(async () => (await page.locator("tbody tr").count()) === number, `${number} calls`);
  await shown(2);
  await page.click("#filters");
  await page.fill("#filter-number", "103");
  await shown(1);
  await page.getByText("0 open, 1 ended").waitFor();
  await page.selectOption("#filter-state", "open");
  await page.getByText("No such call").waitFor();
  await page.selectOption("#filter-state", "ended");
  await shown(1);
  assert(page.url().endsWith("#/calls?number=103&state=ended"), page.url());
  await page.reload();
  await shown(1);
  assertEqual([await page.locator("#filter-number").inputValue(), await page.locator("#filters").innerText()], ["103", "Filters (2)"], "the filters of the address");
  const [table] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  const lines = readFileSync(await table.path(), "utf8").trim().split("\r\n");
  assertEqual([lines.length, lines[1].includes(",103,")], [2, true], "the table has what was searched");
  await shot(page, "calls-searched");
  await page.click("#clear-filters");
  await shown(2);

  // One call: what the API says is drawn, all of it.
  await page.locator("tbody tr", { hasText: "101" }).locator("a").click();
  await page.locator(".ladder .item").first().waitFor();
  const [{ telephonySessionId }] = (await ask("/sessions?text=101")).records;
  assert(page.url().endsWith(`#/calls/${telephonySessionId}`), page.url());
  const drawn = async (all = true) => {
    const story = await ask(`/sessions/${telephonySessionId}?all=${all}`);
    const marks = story.deliveries.reduce((sum, { attempts, state }) => sum + (attempts.length + (!attempts.length || ["waiting", "sending", "queued"].includes(state) ? 1 : 0)), 0);
    const wanted = { inputs: story.inputs.length, events: story.events.length, deliveries: marks };
    const counted = {};
    for (const [name, kind] of [["inputs", "input"], ["events", "event"], ["deliveries", "delivery"]]) counted[name] = await page.locator(`.ladder .item.${kind}`).count();
    return { wanted, counted };
  };
  let last;
  await until(async () => {
    last = await drawn();
    return JSON.stringify(last.wanted) === JSON.stringify(last.counted);
  }, "a whole ladder");
  assertEqual([last.counted.inputs, last.counted.events], [6, 8], "what is in the ladder");
  // The messages that caused no event (ACK, and the answer to BYE) can be left out.
  const messages = page.getByRole("button", { name: "All messages" });
  await messages.click();
  await until(async () => {
    last = await drawn(false);
    return JSON.stringify(last.wanted) === JSON.stringify(last.counted);
  }, "a ladder of causes");
  assertEqual([last.counted.inputs, await messages.getAttribute("aria-pressed")], [4, "false"], "causes alone");
  await messages.click();
  await until(async () => {
    last = await drawn();
    return JSON.stringify(last.wanted) === JSON.stringify(last.counted);
  }, "a whole ladder again");
  const bands = await page.locator(".ladder .band").evaluateAll((bands) => bands.map((band) => band.dataset.state));
  assertEqual(bands.filter((state) => state === "Answered").length, 2, "bands");
  // In the list it is the same.
  await page.getByRole("button", { name: "List", exact: true }).click();
  assertEqual(await page.locator(".list tbody tr").count(), last.counted.inputs + last.counted.events + last.counted.deliveries, "rows of the list");
  await page.getByRole("button", { name: "Ladder", exact: true }).click();
  await shot(page, "call");
  await ladder(page);

  // An event tells its cause, its rule and what is sent; the cause its bytes.
  await page.locator(".item.event").first().click();
  await page.getByRole("heading", { name: "Rule" }).waitFor();
  assert((await page.locator(".detail pre.json").innerText()).includes(`"telephonySessionId": "${telephonySessionId}"`), "no notification");
  await shot(page, "call-event");
  await page.locator(".detail ul.plain button.link").first().click();
  await until(async () => (await page.locator(".detail pre.raw").innerText()).startsWith("INVITE sip:102@pbx SIP/2.0\n"), "the message");

  // From a webhook that is missing to its cause: three clicks.
  await page.goto(`${given.server}/console/#/calls`);
  await page.getByRole("link", { name: "Subscriptions" }).click();
  await page.locator(`tr[data-id="${given.failing}"] a`).click();
  await page.locator("table.attempts tbody tr").first().waitFor();
  assert(/Last hour: 0 delivered, [1-9]\d* failed\. Last day: 0 delivered, [1-9]/.test(await page.locator("#attempt-totals").innerText()), await page.locator("#attempt-totals").innerText());
  await page.fill("#attempt-status", "404");
  await page.getByText("No attempt matches.").waitFor();
  await page.fill("#attempt-status", "503");
  await page.selectOption("#attempt-outcome", "isFailed=true");
  await page.locator("table.attempts tbody tr").first().waitFor();
  await shot(page, "attempts");
  await page.locator("table.attempts a").last().click();
  await page.locator(".detail .attempts li").first().waitFor();
  const detail = await page.locator(".detail").innerText();
  for (const text of ["503", "<b>out of order</b>", "What caused the event", "INVITE 102"]) assert(detail.includes(text), `${text} is not in ${detail}`);
  assertEqual(await page.locator(".detail b").count(), 0, "markup of an answer");
  await shot(page, "call-missing-webhook");

  // Why another is not told.
  await page.goto(`${given.server}/console/#/calls/${telephonySessionId}`);
  await page.locator(".item.delivery[data-look=none]").first().click();
  await page.getByRole("heading", { name: "Why it was not notified" }).waitFor();
  assert((await page.locator(".why").innerText()).includes("statusCode=Answered: the party is Setup"), "no clause");

  // The receiver is well again, and what it was told is told again; how much is said first.
  await step("mend");
  await page.goto(`${given.server}/console/#/subscriptions/${given.failing}`);
  await page.locator(".badge", { hasText: "Good" }).waitFor();
  await page.getByRole("button", { name: /^Test/ }).click();
  await page.locator("main").getByText(/The receiver has answered 200/).waitFor();
  await page.getByRole("button", { name: /^Renew/ }).click();
  await page.locator("main").getByText(/Renewed until/).waitFor();
  await until(async () => (await ask(`/subscriptions/${given.failing}`)).health.lagEvents === 0, "nothing to be due");
  const before = await step("count");
  await page.getByRole("button", { name: /^Redeliver/ }).click();
  await page.getByRole("button", { name: "Preview" }).click();
  const confirm = page.getByRole("button", { name: "Redeliver 16 notifications" });
  await confirm.waitFor();
  assertEqual(await step("count"), before, "a preview sends nothing");
  await shot(page, "redelivery");
  await confirm.click();
  await page.getByText("16 of 16 delivered.").waitFor();
  assertEqual(await step("count"), before + 16, "what was sent again");
  await page.getByRole("button", { name: "Close" }).click();
  await until(async () => (await page.locator("dialog").count()) === 0, "the dialog to go away");

  // A filter is tried on what is kept.
  await page.goto(`${given.server}/console/#/trial`);
  await page.fill("#filters", "/restapi/v1.0/account/~/telephony/sessions?statusCode=Answered\n/restapi/v1.0/account/~/telephony/sessions");
  await page.getByRole("button", { name: "Try" }).click();
  await page.getByText("16 of 16 events matched, in 2 calls").waitFor();
  assertEqual(await page.locator(".result tbody .number-cell").allInnerTexts(), ["4", "16"], "by filter");
  await page.fill("#filters", "/restapi/v1.0/nothing");
  await page.getByRole("button", { name: "Try" }).click();
  await page.locator(".failure").waitFor();
  noted_refusal();

  await page.goto(`${given.server}/console/#/figures`);
  await page.getByText("It balances.").first().waitFor();
  await until(async () => (await page.locator(".stage").count()) === (await page.locator(".stage .balanced").count()), "figures that balance");
  await until(async () => (await page.locator(".plot").count()) === 11, "plots");
  assert((await page.locator(".history .plot-card").first().innerText()).startsWith("Calls"), "the history of calls");
  await page.selectOption("#history-span", "week");
  await page.getByText("A point for every 2:00:00").waitFor();
  await shot(page, "figures");
  await page.goto(`${given.server}/console/#/sources`);
  await page.locator(".badge", { hasText: "Heard" }).waitFor();
  await noteViolations(page);
  found(last.counted);
});

/** What the ladder offers beside the marks: width, clock, folding, addresses, copies. */
async function ladder(page) {
  // It is as wide as there is room, and its times and heads stay when one scrolls.
  const box = async (selector) => {
    let found;
    // While it is drawn anew there is none for a moment.
    await until(async () => (found = await page.locator(selector).first().boundingBox()), selector);
    return found;
  };
  const [drawing, body] = [await box(".drawing"), await box(".ladder-body")];
  assert(drawing.x + drawing.width - (body.x + body.width) < 40, `${JSON.stringify(drawing)} ${JSON.stringify(body)}`);
  await page.setViewportSize({ width: 700, height: 500 });
  await until(async () => (await box(".drawing")).width < 700, "the narrow window");
  const places = async () => [(await box(".ladder-head")).y, (await box(".ladder-axis")).x];
  const scroll = page.locator(".ladder-scroll");
  const before = await places();
  await scroll.evaluate((node) => node.scrollTo(200, 150));
  assertEqual(await places(), before, "heads and times after scrolling");
  await page.setViewportSize({ width: 1400, height: 900 });
  await until(async () => (await box(".ladder-body")).width > 1000, "the wide window");

  // Hosts are named by what they say they are or whose they are, and fold with the keyboard.
  const hosts = page.locator(".ladder .host");
  const [{ telephonySessionId }] = (await ask("/sessions?text=101")).records;
  const named = (await ask(`/sessions/${telephonySessionId}?all=true`)).hosts;
  const phones = [["192.0.2.1:5060", "101", "directory"], ["192.0.2.2:5060", "102", "directory"]];
  assertEqual(named.map(({ address, name, namedBy }) => [address, name, namedBy]), phones, "the hosts");
  assertEqual(await hosts.locator("text.lane").allTextContents(), ["101", "102"], "the heads of the hosts");
  const count = await hosts.count();
  assertEqual(await hosts.first().getAttribute("aria-expanded"), "true", "a host that is unfolded");
  const signals = await page.locator(".ladder .item.input").count();
  await hosts.first().focus();
  await page.keyboard.press("Enter");
  await until(async () => (await hosts.first().getAttribute("aria-expanded")) === "false", "a host that is folded");
  assert(await page.evaluate(() => document.activeElement.classList.contains("host")), "the focus is lost");
  assertEqual([await hosts.count(), await page.locator(".ladder .item.input").count()], [count, signals], "nothing is lost by folding");
  await page.keyboard.press("Enter");
  await until(async () => (await hosts.first().getAttribute("aria-expanded")) === "true", "a host that is unfolded again");

  // The clock is named, and is another when one chooses.
  const times = () => page.locator(".ladder-axis text.axis").allTextContents();
  const corner = () => page.locator(".ladder-corner").textContent();
  await page.getByLabel("Times", { exact: true }).selectOption("utc");
  assert((await corner()).includes("UTC"), await corner());
  await page.getByLabel("Times", { exact: true }).selectOption("since");
  assertEqual([(await times())[0], (await corner()).includes("since start")], ["+0.000", true], "the time since the start");
  await page.getByLabel("Times", { exact: true }).selectOption("local");

  // What is chosen has an address, by which it is found again; Escape leaves it.
  for (const [kind, name] of [["input", "message"], ["event", "event"], ["delivery", "delivery"]]) {
    const item = page.locator(`.ladder .item.${kind}`).nth(1);
    const key = await item.getAttribute("data-key");
    await item.dispatchEvent("click");
    const address = page.url();
    assert(address.includes(`?${name}=`), address);
    await page.goto("about:blank");
    await page.goto(address);
    await until(async () => (await page.locator('.item[aria-pressed="true"]').getAttribute("data-key")) === key, `${name} by its address`);
    await page.locator(".detail h2").focus();
    await page.keyboard.press("Escape");
    await until(() => page.locator(".detail").isHidden(), "the details to go away");
    assert(!page.url().includes("?"), page.url());
  }

  // To the side the keys go from column to column.
  await page.locator(".ladder .item.input").first().focus();
  await page.keyboard.press("ArrowRight");
  assertEqual(await page.evaluate(() => document.activeElement.classList.contains("event")), true, "an event beside a message");
  await page.keyboard.press("ArrowLeft");
  assertEqual(await page.evaluate(() => document.activeElement.classList.contains("input")), true, "a message beside an event");

  // It is taken along as text, as a picture and as a capture.
  const kept = async (name) => {
    await page.locator("#export").click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const picture = (await kept("Save as SVG")).toString();
  assert(picture.startsWith("<svg ") && picture.includes("INVITE 102") && !picture.includes("class=") && !picture.includes("var("), picture.slice(0, 300));
  const capture = await kept("Save as pcap");
  assertEqual([capture.readUInt32LE(0).toString(16), capture.includes("INVITE sip:102@pbx SIP/2.0\r\n")], ["a1b2c3d4", true], "the capture");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: given.server });
  await page.locator("#export").click();
  await page.getByRole("button", { name: "Copy as text" }).click();
  let text = "";
  await until(async () => (text = await page.evaluate(() => navigator.clipboard.readText())).includes("INVITE 102"), "the text");
  for (const said of ["Disconnected of", "message ", "delivery", "Started "]) assert(text.includes(said), text);
}

// A refusal that was wanted is an error of a request in the eyes of the browser.
import { noted } from "./support.mjs";
function noted_refusal() {
  noted.errors = noted.errors.filter((text) => !text.includes("the server responded with a status of 400"));
}
