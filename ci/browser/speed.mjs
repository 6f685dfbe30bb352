// How soon a page paints in Chromium: `node speed.mjs ADDRESS [TIMES]`, one JSON line. `bench page --stay` has such an address.
import { chromium } from "playwright-core";

const [address, times = "9"] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
const first = [], contentful = [], loaded = [];
let bytes = 0, rows = 0;
for (let round = 0; round < Number(times); round += 1) {
    // A context of its own: nothing is kept from the round before.
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
    await page.goto(address, { waitUntil: "load" });
    const found = await page.evaluate(() => new Promise(done => {
        const [navigation] = performance.getEntriesByType("navigation");
        const told = paint => done({ first: navigation.responseStart, paint, loaded: navigation.domContentLoadedEventEnd, bytes: navigation.decodedBodySize, rows: document.querySelectorAll("#leaderboard tbody tr").length });
        const known = performance.getEntriesByName("first-contentful-paint")[0];
        if (known) return told(known.startTime);
        new PerformanceObserver(list => { const paint = list.getEntriesByName("first-contentful-paint")[0]; if (paint) told(paint.startTime); }).observe({ type: "paint", buffered: true });
    }));
    first.push(found.first);
    contentful.push(found.paint);
    loaded.push(found.loaded);
    ({ bytes, rows } = found);
    await page.context().close();
}
await browser.close();
const middle = values => Math.round([...values].sort((a, b) => a - b)[values.length >> 1]);
console.log(JSON.stringify({ address, times: contentful.length, first_byte_ms: middle(first), first_contentful_paint_ms: middle(contentful), first_contentful_paint_ms_max: Math.round(Math.max(...contentful)), content_loaded_ms: middle(loaded), bytes, rows }));
