// Every page in a real browser, during and after a real sweep.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Browser, Program } from "./program.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const NAME = "<script>document.title='taken'</script> & \"quoted\"";

/// Small networks on drawn images, two seeds: long enough to look at while it runs.
const spec = (name, epochs) => `version: 1
name: ${JSON.stringify(name)}
dataset: { kind: synthetic_scenes, image_size: 16, channels: 3, seed: 0, train_images: 160, test_images: 80 }
protocol: { epochs: ${epochs}, batch_size: 16, batch_normalization: { momentum: 0.9 } }
seeds: 2
baseline: { family: cnn, conv_layers: 1, filters: 8, kernel_size: 3, dense_layers: 1, dense_units: 8 }
stages:
  - { name: width, vary: { filters: [4, 8] } }
  - { name: regularization, grid: { max_pool: [false, true], batch_norm: [false, true] } }
`;

let program, browser, sweep;

before(async () => {
    program = await Program.start();
    browser = await Browser.start(program.base);
});

after(async () => {
    await browser?.end();
    await program?.end();
});

const visit = async (page, path) => {
    const answer = await page.goto(program.base + path);
    // What is still being worked out comes by itself.
    await page.waitForFunction(() => !document.getElementById("main").hasAttribute("data-pending"));
    return answer;
};

const share = page => page.locator("#progress .share strong").innerText().then(Number);

test("before anything was submitted the page says how to begin", async () => {
    const page = await browser.page();
    await visit(page, "/");
    assert.match(await page.locator("main").innerText(), /No sweep has been submitted yet/);
    await page.context().close();
});

test("a sweep's page follows it while it runs, and keeps focus, scroll and what is open", async () => {
    // Long enough on a fast machine that the page is looked at while it runs. The longest trials go first, so the baseline is
    // not the smallest: without it there is no answer to look at.
    sweep = await program.submit(spec(NAME, 200));
    const page = await browser.page();
    await visit(page, `/sweeps/${sweep}`);
    assert.match(await page.locator("#progress").innerText(), /no worker is connected/);
    assert.equal(await share(page), 0);
    await page.evaluate(() => { window.same = true; });
    await page.locator("form.filter input[type=search]").first().fill("batch");
    await page.locator("form.filter input[type=search]").first().focus();
    await program.work("w1");
    await page.waitForFunction(() => Number(document.querySelector("#progress .share strong")?.innerText) > 0, null, { timeout: 120000 });
    await page.waitForSelector("#running tbody tr, #leaderboard tbody tr");
    assert.equal(await page.evaluate(() => window.same), true, "the page was not loaded anew");
    const field = page.locator("form.filter input[type=search]").first();
    assert.equal(await field.inputValue(), "batch", "what was typed stays");
    assert.equal(await field.evaluate(element => element === document.activeElement), true, "focus stays");
    assert.equal(await page.locator("#live-mark").isVisible(), true);
    await page.locator("#answer-details > summary").click({ timeout: 240000 });
    await page.locator("#leaderboard tbody input[type=checkbox]").first().check();
    await page.evaluate(() => scrollTo(0, 300));
    const before = await share(page);
    await page.waitForFunction(before => Number(document.querySelector("#progress .share strong").innerText) > before, before, { timeout: 120000 });
    assert.equal(await page.locator("#answer-details").evaluate(element => element.open), true, "what is open stays open");
    assert.equal(await page.evaluate(() => scrollY), 300, "scroll stays");
    assert.equal(await page.locator("#leaderboard tbody input:checked").count(), 1, "what is chosen stays chosen");
    await page.waitForFunction(() => document.querySelector(".title .chip")?.innerText.includes("succeeded"), null, { timeout: 180000 });
    assert.equal(await share(page), 100);
    await page.waitForFunction(() => document.getElementById("live-mark").hidden, null, { timeout: 15000 });
    assert.equal(await page.evaluate(() => window.same), true);
    await page.context().close();
});

test("script in a sweep's name is shown as text", async () => {
    const page = await browser.page();
    for (const path of ["/", `/sweeps/${sweep}`]) {
        await visit(page, path);
        assert.notEqual(await page.title(), "taken");
        assert.ok((await page.locator("main").innerText()).includes(NAME), path);
    }
    await page.context().close();
});

const parts = ["", "/charts", "/curves", "/images", "/trials", "/question", "/configurations/0"];

test("every page is without complaint, in the light, in the dark and on a phone", async () => {
    const kinds = { light: {}, dark: { colorScheme: "dark" }, phone: { viewport: { width: 360, height: 740 } } };
    for (const [kind, options] of Object.entries(kinds)) {
        const page = await browser.page({ ...options, bypassCSP: true });
        await visit(page, `/sweeps/${sweep}/trials`);
        const trial = await page.locator("#trials tbody a").first().getAttribute("href");
        for (const path of ["/", "/workers", trial, `/sweeps/${sweep}/images?difference=1`, ...parts.map(part => `/sweeps/${sweep}${part}`)]) {
            await visit(page, path);
            await page.evaluate(axe);
            const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
            const told = found.violations.map(one => `${one.id}: ${one.nodes.slice(0, 3).map(node => node.html).join("\n  ")}`);
            assert.deepEqual(told, [], `${kind} ${path}`);
            const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(over <= 0, `${kind} ${path} sticks out by ${over}`);
        }
        await page.context().close();
    }
});

test("on a phone a configuration, its difference and its verdict are on the screen without scrolling sideways", async () => {
    // The report has a style of its own, which the policy of these pages would not load.
    const page = await browser.page({ viewport: { width: 390, height: 844 }, bypassCSP: true });
    const boxes = selector => page.locator(selector).evaluateAll(all => all.map(element => {
        const box = element.getBoundingClientRect();
        return { text: element.textContent.trim(), left: box.left, right: box.right, width: box.width };
    }));
    const inside = async (path, selectors) => {
        for (const selector of selectors) {
            const found = await boxes(selector);
            assert.ok(found.length > 0, `${path} has no ${selector}`);
            for (const box of found) assert.ok(box.width > 0 && box.left >= 0 && box.right <= 390, `${path} ${selector} ${JSON.stringify(box)}`);
        }
    };
    await visit(page, `/sweeps/${sweep}`);
    await inside("the board", ["#leaderboard tbody th.name a", "#leaderboard tbody td.difference", "#leaderboard tbody td.judged", "#leaderboard tbody td.judged .verdict"]);
    const first = await page.locator("#leaderboard tbody tr").first().boundingBox();
    assert.ok(first.height < 844, "a configuration fits on a screen");
    await visit(page, `/sweeps/${sweep}/charts`);
    await inside("the changes", [".forest tbody th.name", ".forest tbody td.number:not(.interval)", ".forest tbody td.text", "figure.table .cards tbody td"]);
    await visit(page, `/sweeps/${sweep}/configurations/0`);
    await inside("a configuration", ["section[aria-labelledby=compared-title] td.difference", "section[aria-labelledby=compared-title] .verdict"]);
    // The report that is sent to a colleague.
    await page.setContent(await program.report(sweep));
    await inside("the report", ["#leaderboard .cards tbody th.name", "#leaderboard .cards tbody td", "#deltas .forest td.number:not(.interval)", "#deltas .forest td.text", "#factors .cards td"]);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `the report sticks out by ${over}`);
    await page.context().close();
});

test("charts have their parts, and a level of the parallel coordinates leads to its configurations", async () => {
    const page = await browser.page();
    await visit(page, `/sweeps/${sweep}/charts`);
    assert.ok(await page.locator("svg.delta").count() >= 4);
    assert.equal(await page.locator("#pareto svg.chart .mark").count(), 5);
    assert.equal(await page.locator("svg.coordinates .lines path").count(), 5);
    await page.locator("svg.coordinates a[aria-label='filters 4']").click();
    await page.waitForURL(/where=filters%3A4/);
    assert.equal(await page.locator("#leaderboard tbody tr").count(), 1);
    await page.locator("a.level").click();
    assert.equal(await page.locator("#leaderboard tbody tr").count(), 5);
    await page.context().close();
});

test("a deep link shows what it showed to whoever sent it", async () => {
    const first = await browser.page();
    await visit(first, `/sweeps/${sweep}`);
    for (const index of [0, 1]) await first.locator("#leaderboard tbody input[type=checkbox]").nth(index).check();
    await first.getByRole("button", { name: "curves" }).click();
    await first.waitForURL(/curves\?.*chosen=/);
    await first.getByRole("link", { name: "Validation loss" }).click();
    const address = first.url();
    const legend = await first.locator("ol.series li").allInnerTexts();
    assert.equal(legend.length, 2);
    const second = await browser.page();
    await second.goto(address);
    assert.deepEqual(await second.locator("ol.series li").allInnerTexts(), legend);
    assert.equal(await second.locator(".choice a[aria-current=true]").innerText(), "Validation loss");
    await first.context().close();
    await second.context().close();
});

test("a column orders the table, says so, and again the other way", async () => {
    const page = await browser.page();
    await visit(page, `/sweeps/${sweep}`);
    const column = async () => {
        const cells = await page.locator("#leaderboard tbody tr td:nth-child(9)").allInnerTexts();
        return cells.map(text => Number(text.replaceAll(",", "")));
    };
    await page.locator("#sort-params").click();
    await page.waitForURL(/sort=params&order=asc/);
    const low = await column();
    assert.deepEqual(low, [...low].sort((a, b) => a - b));
    assert.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending");
    await page.locator("#sort-params").click();
    await page.waitForURL(/sort=params&order=desc/);
    assert.deepEqual(await column(), low.reverse());
    assert.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "descending");
    await page.context().close();
});

test("every download is there and has rows", async () => {
    const page = await browser.page();
    const trials = await (await fetch(`${program.base}/api/v1/sweeps/${sweep}/trials?limit=1`)).json();
    // Tables of any length come as CSV alone, whole.
    const pages = [["/", 1], ["/workers", 2], [`/sweeps/${sweep}`, 1], [`/sweeps/${sweep}/charts`, 2], [`/sweeps/${sweep}/trials?state=succeeded`, 1], [`/trials/${trials.trials[0].trial_id}`, 2]];
    for (const [path, files] of pages) {
        await visit(page, path);
        const links = await page.locator(".downloads a").evaluateAll(all => all.map(link => link.getAttribute("href")));
        assert.equal(links.length, files, path);
        for (const link of links) {
            const answer = await fetch(program.base + link);
            const text = await answer.text();
            assert.equal(answer.status, 200, `${link}: ${text}`);
            if (link.includes("format=csv")) assert.ok(text.trim().split("\n").length > 1, `${link}: ${text}`);
            else JSON.parse(text);
        }
    }
    const link = page.locator(".downloads a").first();
    await page.locator("#epochs > summary").click();
    const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
    assert.match(download.suggestedFilename(), /\.csv$/);
    await page.context().close();
});

test("the keyboard reaches everything and is nowhere trapped", async () => {
    const page = await browser.page();
    await visit(page, `/sweeps/${sweep}`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const seen = new Set();
    for (let step = 0; step < 120; step += 1) {
        await page.keyboard.press("Tab");
        const here = await page.evaluate(() => {
            const element = document.activeElement;
            if (!element || element === document.body) return null;
            const outline = getComputedStyle(element);
            return { what: element.id || element.getAttribute("href") || element.textContent, shown: outline.outlineStyle !== "none" && outline.outlineWidth !== "0px" };
        });
        if (!here) break;
        assert.ok(here.shown, `focus on ${here.what} is not seen`);
        seen.add(here.what);
    }
    for (const wanted of ["sort-params", "sort-rank", "/metrics"]) assert.ok(seen.has(wanted), `${wanted} was not reached`);
    await page.locator("#sort-params").focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/sort=params/);
    await page.context().close();
});

test("pause, priority and cancel do what they say; cancel asks first, and all work without a script", async () => {
    const other = await program.submit(spec("to be cancelled", 400));
    const page = await browser.page({ javaScriptEnabled: false });
    const open = () => page.goto(`${program.base}/sweeps/${other}`);
    await open();
    await page.getByRole("button", { name: "Pause" }).click();
    assert.match(await page.locator(".title .chip").innerText(), /paused/);
    await page.getByRole("button", { name: "Resume" }).click();
    assert.match(await page.locator(".title .chip").innerText(), /running/);
    await page.getByLabel("Priority").fill("5");
    await page.getByRole("button", { name: "Set" }).click();
    assert.match(await page.locator(".title .facts").innerText(), /priority 5/);
    await page.getByRole("link", { name: "Cancel…" }).click();
    assert.match(await page.locator("main").innerText(), /cannot be resumed/);
    await page.getByRole("link", { name: "Keep it running" }).click();
    assert.match(await page.locator(".title .chip").innerText(), /running/);
    await page.getByRole("link", { name: "Cancel…" }).click();
    await page.getByRole("button", { name: "Cancel the sweep" }).click();
    assert.match(await page.locator(".title .chip").innerText(), /cancelled/);
    await page.context().close();
});

test("a page says when it lost the coordinator, and goes on when that is back", async () => {
    browser.expected = [/ERR_|Failed to load resource/];
    const page = await browser.page();
    await visit(page, "/workers");
    assert.equal(await page.locator("#lost").isVisible(), false);
    await program.kill();
    await page.waitForSelector("#lost:not([hidden])");
    assert.match(await page.locator("#lost").innerText(), /coordinator/);
    assert.match(await page.locator("main").innerText(), /w1/, "what was there stays");
    await program.again();
    await page.waitForSelector("#lost", { state: "hidden" });
    await page.waitForFunction(() => !document.getElementById("live-mark").hidden);
    browser.expected = [];
    await page.context().close();
});

test("a worker is suspended, put back, and drained when that was asked twice", async () => {
    const page = await browser.page();
    const is = word => page.waitForFunction(word => document.querySelector(".worker .chip")?.innerText.includes(word), word);
    await visit(page, "/workers");
    await page.getByRole("button", { name: "Suspend w1" }).click();
    await is("suspended");
    await page.getByRole("button", { name: "Put back into service w1" }).click();
    await is("connected");
    await page.getByRole("link", { name: "Drain… w1" }).click();
    await page.getByRole("link", { name: "Keep it working" }).click();
    await is("connected");
    await page.getByRole("link", { name: "Drain… w1" }).click();
    await page.getByRole("button", { name: "Drain the worker" }).click();
    // It finishes and leaves, and the page sees it go.
    await page.waitForFunction(() => document.querySelector(".title .facts")?.innerText.startsWith("0 workers"), null, { timeout: 90000 });
    await page.context().close();
});

test("no page complained and none asked anybody else", () => {
    assert.deepEqual(browser.complaints, []);
    assert.deepEqual(browser.outside, []);
});
