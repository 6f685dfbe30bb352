// Keeps a page up to date: the coordinator says when something has changed, the page is asked for again, and what is
// different in it is brought in, without touching what is not. Without this script every page is whole, and old.
(() => {
    "use strict";
    const main = () => document.getElementById("main");
    const lost = document.getElementById("lost");
    const mark = document.getElementById("live-mark");
    const said = document.getElementById("said");
    const address = document.body.dataset.events;
    // Between two refreshes at least, and so many times what one took: a slow coordinator is not asked more often.
    const LEAST = 1000, PATIENCE = 4, PENDING = 1000, AGAIN = 2500, SPEAK = 30000;
    let live = Boolean(address), source = null, timer = 0, busy = false, wanted = false, last = 0, took = 0, spoken = 0, words = "";

    // What somebody has set by hand stays as it is.
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
        if (!fresh || fresh === words || now - spoken < SPEAK) return;
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
        else if (next.hasAttribute("data-pending")) later(PENDING);
    };

    const refresh = async () => {
        if (busy) { wanted = true; return; }
        if (document.hidden || selecting()) { wanted = true; later(LEAST); return; }
        busy = true;
        wanted = false;
        const began = performance.now();
        try {
            const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
            if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
            const text = await answer.text();
            if (answer.status >= 500 && !document.querySelector(".refusal")) { lose("The coordinator is unavailable."); later(AGAIN); return; }
            bring(text);
            found();
        } catch {
            lose("The coordinator does not respond.");
            later(AGAIN);
        } finally {
            busy = false;
            last = performance.now();
            took = last - began;
            if (wanted) later(LEAST);
        }
    };

    const later = wait => {
        if (timer) return;
        const rest = Math.max(wait, last + Math.max(LEAST, took * PATIENCE) - performance.now());
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
            // A browser gives up after some answers; then somebody else has to look.
            if (source && source.readyState === 2) { source = null; setTimeout(listen, AGAIN); }
            later(AGAIN);
        };
    };

    // A tab that nobody looks at holds no connection: a browser has six for a server.
    document.addEventListener("visibilitychange", () => {
        if (document.hidden) { source?.close(); source = null; } else if (live) { listen(); later(0); }
    });

    // At most so many can be chosen, and moments are told in the reader's own time when asked.
    const MOST = 8;
    const dress = () => {
        const boxes = [...document.querySelectorAll("input[name=chosen]")];
        const full = boxes.filter(box => box.checked).length >= MOST;
        boxes.forEach(box => { box.disabled = full && !box.checked; });
        document.querySelectorAll("time[datetime]").forEach(time => { time.title = new Date(time.dateTime).toLocaleString(); });
    };
    document.addEventListener("change", event => { if (event.target.name === "chosen") dress(); });

    dress();
    if (live) {
        listen();
        // Slots and lost workers change without a commit.
        setInterval(() => live && later(0), 10000);
        if (main().hasAttribute("data-pending")) later(PENDING);
    }
})();
