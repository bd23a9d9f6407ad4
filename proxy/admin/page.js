// page.js - keeps the status page live: fetches it again while somebody looks, and changes in place what differs. Without it the
// page is complete, it only stands still.
"use strict";

(() => {
    const EVERY_MS = 4000;
    const LONGEST_MS = 60000;
    const PATIENCE_MS = 10000;

    // What came back from a sign-in that failed holds a code, which is not for the history.
    if (location.pathname === "/oauth/callback")
        history.replaceState(null, "", location.pathname);

    const word = document.getElementById("page.live");
    if (!word)
        return;
    let wait = EVERY_MS;
    let timer = 0;
    let isLeaving = false;

    // ---- one tree follows another ----

    function followAttributes(old, next) {
        for (const { name } of [...old.attributes])
            if (!next.hasAttribute(name) && name !== "open")
                old.removeAttribute(name);
        for (const { name, value } of next.attributes)
            if (old.getAttribute(name) !== value)
                old.setAttribute(name, value);
    }

    const isSame = (old, next) => old.nodeType === next.nodeType && old.nodeName === next.nodeName && old.id === next.id;

    // Nodes that stay are the same nodes, so focus, selection and what is unfolded stay with them.
    function follow(old, next) {
        if (old.nodeType !== Node.ELEMENT_NODE) {
            if (old.nodeValue !== next.nodeValue)
                old.nodeValue = next.nodeValue;
            return;
        }
        followAttributes(old, next);
        const olds = [...old.childNodes];
        [...next.childNodes].forEach((child, i) => {
            if (!olds[i])
                old.append(document.importNode(child, true));
            else if (isSame(olds[i], child))
                follow(olds[i], child);
            else
                olds[i].replaceWith(document.importNode(child, true));
        });
        olds.slice(next.childNodes.length).forEach((child) => child.remove());
    }

    // Where a note came or went, what follows it was made anew.
    function change(fetched) {
        const focused = document.activeElement && document.activeElement.id;
        const open = [...document.querySelectorAll("details[open]")].map((details) => details.id);
        for (const part of document.querySelectorAll("[data-live]")) {
            const next = fetched.getElementById(part.id);
            if (next)
                follow(part, next);
        }
        for (const id of open) {
            const details = document.getElementById(id);
            if (details)
                details.open = true;
        }
        const again = focused && document.getElementById(focused);
        if (again && again !== document.activeElement)
            again.focus({ preventScroll: true });
        document.title = fetched.title;
    }

    // ---- again and again ----

    function say(text, isLost) {
        word.classList.toggle("lost", isLost);
        if (word.textContent !== text)
            word.textContent = text;
    }

    async function look() {
        try {
            const answer = await fetch("/", { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS) });
            if (!answer.ok)
                throw new Error(String(answer.status));
            const text = await answer.text();
            if (isLeaving)
                return;
            change(new DOMParser().parseFromString(text, "text/html"));
            wait = EVERY_MS;
            say("Live", false);
        } catch {
            wait = Math.min(wait * 2, LONGEST_MS);
            if (!isLeaving)
                say("Not reachable, trying again", true);
        }
        plan(wait);
    }

    function plan(ms) {
        clearTimeout(timer);
        if (!document.hidden && !isLeaving)
            timer = setTimeout(look, ms);
    }

    document.addEventListener("visibilitychange", () => plan(document.hidden ? wait : 0));

    // ---- what is pressed ----

    // An answer may take as long as the authorization server does.
    document.addEventListener("submit", (event) => {
        const button = event.submitter;
        if (isLeaving || !button)
            return;
        isLeaving = true;
        button.setAttribute("aria-busy", "true");
        button.textContent = button.dataset.busy;
    });

    // A second press must not give the order twice.
    document.addEventListener("click", (event) => {
        if (isLeaving && event.target.closest("button"))
            event.preventDefault();
    });

    document.addEventListener("keydown", (event) => {
        const asked = event.key === "Escape" && document.activeElement && document.activeElement.closest("details.ask[open]");
        if (!asked)
            return;
        asked.open = false;
        asked.querySelector("summary").focus();
    });

    // Back from where it led.
    addEventListener("pageshow", (event) => {
        if (!event.persisted)
            return;
        isLeaving = false;
        plan(0);
    });

    say("Live", false);
    plan(EVERY_MS);
})();
