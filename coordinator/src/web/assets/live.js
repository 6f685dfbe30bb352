// Updates a page: when the coordinator sends an event, the script fetches the page again and changes only the elements that
// differ. Without this script every page is complete, but does not update.
(() => {
    "use strict";
    const main = () => document.getElementById("main");
    const lost = document.getElementById("lost");
    const mark = document.getElementById("live-mark");
    const said = document.getElementById("said");
    const address = document.body.dataset.events;
    // The shortest time between two refreshes, and the multiple of the last duration: a slow coordinator gets fewer requests.
    const MIN_INTERVAL = 1000, DURATION_FACTOR = 4, PENDING_INTERVAL = 1000, RETRY_DELAY = 2500, ANNOUNCE_INTERVAL = 30000;
    let live = Boolean(address), source = null, timer = 0, busy = false, wanted = false, last = 0, took = 0, spoken = 0, words = "";

    // Form fields that the user has changed keep their values.
    const touched = element => {
        if (element.matches?.("input[type=checkbox]")) return element.checked !== element.defaultChecked;
        if (element.matches?.("input:not([type=hidden])")) return element.value !== element.defaultValue || element === document.activeElement;
        if (element.matches?.("select")) return element === document.activeElement || [...element.options].some(option => option.selected !== option.defaultSelected);
        return false;
    };
    const callbacks = {
        beforeNodeMorphed: old => !(old.nodeType === 1 && touched(old)),
        beforeAttributeUpdated: (name, node) => !(name === "open" && node.nodeName === "DETAILS"),
    };

    const selecting = () => {
        const selection = getSelection();
        return selection && !selection.isCollapsed && main().contains(selection.anchorNode);
    };

    const speak = fresh => {
        const now = Date.now();
        if (!fresh || fresh === words || now - spoken < ANNOUNCE_INTERVAL) return;
        said.textContent = words = fresh;
        spoken = now;
    };

    const lose = why => {
        const since = new Date().toISOString().slice(11, 19);
        if (lost.hidden) lost.textContent = `${why} This page shows the state at ${since} UTC and retries on its own.`;
        lost.hidden = false;
        mark.hidden = true;
    };

    const found = () => {
        lost.hidden = true;
        mark.hidden = !(source && source.readyState === 1);
    };

    const bring = text => {
        const fresh = new DOMParser().parseFromString(text, "text/html");
        const next = fresh.getElementById("main");
        if (!next) return;
        document.title = fresh.title;
        Idiomorph.morph(main(), next, { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks });
        speak(next.dataset.said);
        dress();
        if (!fresh.body.dataset.events) stop();
        else if (next.hasAttribute("data-pending")) later(PENDING_INTERVAL);
    };

    const refresh = async () => {
        if (busy) { wanted = true; return; }
        if (document.hidden || selecting()) { wanted = true; later(MIN_INTERVAL); return; }
        busy = true;
        wanted = false;
        const began = performance.now();
        try {
            const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
            if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
            const text = await answer.text();
            if (answer.status >= 500 && !document.querySelector(".refusal")) { lose("The coordinator is unavailable."); later(RETRY_DELAY); return; }
            bring(text);
            found();
        } catch {
            lose("The coordinator does not respond.");
            later(RETRY_DELAY);
        } finally {
            busy = false;
            last = performance.now();
            took = last - began;
            if (wanted) later(MIN_INTERVAL);
        }
    };

    const later = wait => {
        if (timer) return;
        const rest = Math.max(wait, last + Math.max(MIN_INTERVAL, took * DURATION_FACTOR) - performance.now());
        timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(0, rest));
    };

    const stop = () => {
        live = false;
        source?.close();
        source = null;
        mark.hidden = true;
    };

    const listen = () => {
        if (!live || source) return;
        source = new EventSource(address);
        let first = true;
        source.addEventListener("hello", () => { found(); if (!first) later(0); first = false; });
        source.addEventListener("change", () => later(0));
        source.addEventListener("status", () => { if (!first) later(0); else found(); first = false; });
        source.addEventListener("end", () => { source?.close(); source = null; mark.hidden = true; later(0); });
        source.onopen = found;
        source.onerror = () => {
            lose("The connection to the coordinator was lost.");
            // A browser stops reconnecting after some responses; then this script reconnects.
            if (source && source.readyState === 2) { source = null; setTimeout(listen, RETRY_DELAY); }
            later(RETRY_DELAY);
        };
    };

    // A hidden tab closes its connection: a browser has six per server.
    document.addEventListener("visibilitychange", () => {
        if (document.hidden) { source?.close(); source = null; } else if (live) { listen(); later(0); }
    });

    // The most configurations that can be chosen. Tooltips show times in the local time zone.
    const MAX_CHOSEN = 8;
    const dress = () => {
        const boxes = [...document.querySelectorAll("input[name=chosen]")];
        const full = boxes.filter(box => box.checked).length >= MAX_CHOSEN;
        boxes.forEach(box => { box.disabled = full && !box.checked; });
        document.querySelectorAll("time[datetime]").forEach(time => { time.title = new Date(time.dateTime).toLocaleString(); });
    };
    document.addEventListener("change", event => { if (event.target.name === "chosen") dress(); });

    dress();
    if (live) {
        listen();
        // Slots and lost workers change without an event.
        setInterval(() => live && later(0), 10000);
        if (main().hasAttribute("data-pending")) later(PENDING_INTERVAL);
    }
})();
