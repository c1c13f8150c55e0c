// Progressive enhancement: every page works as plain links and forms, these scripts make it live
// and swap what changed in place. They never build HTML from strings. Loaded with `defer`, in this
// order: idiomorph, app.js (fetching, live regions), forms.js (dialogs, forms), keys.js.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const on = (type, selector, act) =>
  document.addEventListener(type, (event) => {
    const target = event.target.closest?.(selector);
    if (target) act(event, target);
  });
/** A click that means "go there", not "open it elsewhere". */
const plainClick = (e) => !(e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const withoutHash = (url) => new URL(url, location.href).href.split("#")[0];

// ---- Fetching and morphing -------------------------------------------------------------------

/** The parsed page at `url`, or null once the session is over. */
async function fetchPage(url, options = {}) {
  const response = await fetch(url, { credentials: "same-origin", ...options });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (response.status === 401 || $(".sign-in", page)) return null;
  page.ok = response.ok;
  return page;
}

/** Whether the person changed this field since the server rendered it. */
function isDirty(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return field.selectedIndex !== Math.max(0, [...field.options].findIndex((o) => o.defaultSelected));
  return field.value !== field.defaultValue;
}

/** Makes `old` equal to `fresh`, leaving alone what belongs to the person: an open dialog,
 *  open details, anything marked data-keep, and (unless `reset`) fields they changed. */
function morph(old, fresh, reset = false) {
  Idiomorph.morph(old, fresh, {
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed(was, now) {
        if (!was.matches || !now.matches) return true;
        if (was.matches("dialog[open], [data-keep]")) return false;
        if (reset || !was.matches("input, select, textarea") || !isDirty(was)) return true;
        // A tick must never move to another row's box when rows shift.
        if (was.name === now.name && (was.type !== "checkbox" || was.value === now.getAttribute("value"))) {
          was.disabled = now.disabled;
          return false;
        }
        if (was.type === "checkbox") was.checked = false;
        return true;
      },
      // A section that was closed because it was empty opens when it no longer is.
      beforeAttributeUpdated: (name, node, kind) =>
        !(name === "open" && node.tagName === "DETAILS" && !reset) || (kind === "update" && node.matches(":has(> .empty)")),
    },
  });
}

/** Tells everybody that the page changed: forms.js and chart scripts listen for `refreshed`. */
function settle() {
  updateTimes();
  document.dispatchEvent(new Event("refreshed"));
}

// The address that the page behind any dialog shows.
let pageUrl = withoutHash(location.href);
let visiting;

/** Shows `url` by morphing `main`; falls back to a plain navigation. `how`: push, replace or none. */
async function visit(url, how) {
  visiting?.abort();
  visiting = new AbortController();
  let page;
  try {
    page = await fetchPage(url, { signal: visiting.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
  }
  const main = page && $("main", page);
  if (!main) return location.assign(url);
  if (how) history[how + "State"](null, "", url);
  pageUrl = withoutHash(location.href);
  document.title = page.title;
  morph($("main"), main, true);
  settle();
}

// ---- Live regions ----------------------------------------------------------------------------

const live = { wanted: new Set(), timer: 0, busy: false, stream: null, over: false, wait: 1000 };

function touch(topics) {
  topics.forEach((topic) => live.wanted.add(topic));
  live.timer ||= setTimeout(refresh, 80);
}

async function refresh() {
  live.timer = 0;
  if (live.busy || live.over) return;
  const wanted = new Set(live.wanted);
  live.wanted.clear();
  const regions = () =>
    $$("[data-live][id]").filter((e) => wanted.has("*") || e.dataset.live.split(/\s+/).some((t) => wanted.has(t)));
  if (!regions().length) return;
  live.busy = true;
  const url = pageUrl;
  try {
    const page = await fetchPage(url, { headers: { "X-Live": "1" } });
    if (!page) return stopLive();
    // A filter may have moved the page on meanwhile; then this answer is about another list.
    if (url !== pageUrl) wanted.forEach((topic) => live.wanted.add(topic));
    else if (page.ok) {
      for (const region of regions()) {
        const fresh = page.getElementById(region.id);
        const covered = region.parentElement.closest("[data-live][id]");
        if (fresh && !region.closest("dialog[open]") && !(covered && regions().includes(covered))) morph(region, fresh);
      }
      settle();
    }
  } catch {
    // The network is away; the stream's return refreshes everything.
  } finally {
    live.busy = false;
    if (live.wanted.size) touch([]);
  }
}

function showLive(state, text) {
  for (const element of $$("[data-live-state]")) {
    if (element.dataset.state === state) continue;
    element.dataset.state = state;
    element.textContent = text;
  }
}

function stopLive() {
  live.over = true;
  live.stream?.close();
  showLive("off", "Signed out: reload to sign in");
}

// Only a page being looked at holds a stream: browsers allow six connections to a server, and a
// person may have twenty tabs. What happened meanwhile is fetched when the stream opens again.
function connect(missed) {
  if (live.stream || live.over || document.hidden || !$("[data-live]")) return;
  const stream = (live.stream = new EventSource("/live"));
  let down = setTimeout(() => showLive("down", "Reconnecting…"), 3000);
  stream.onopen = () => {
    clearTimeout(down);
    down = 0;
    live.wait = 1000;
    showLive("live", "Live");
    if (missed) touch(["*"]);
    missed = true;
  };
  stream.onmessage = (event) => {
    const { topics } = JSON.parse(event.data);
    touch(topics);
    topics.filter((topic) => topic.startsWith("training-ended:")).forEach(announce);
  };
  stream.onerror = () => {
    down ||= setTimeout(() => live.stream && showLive("down", "Reconnecting…"), 3000);
    // The browser retries by itself unless the server answered with an error.
    if (stream.readyState !== EventSource.CLOSED) return;
    setTimeout(() => {
      if (live.stream !== stream) return;
      live.stream = null;
      touch(["*"]); // finds out whether the session is over
      connect(true);
    }, live.wait);
    live.wait = Math.min(live.wait * 2, 60000);
  };
}

function disconnect() {
  live.stream?.close();
  live.stream = null;
}

let sleepTimer;
document.addEventListener("visibilitychange", () => {
  clearTimeout(sleepTimer);
  if (!document.hidden) return connect(true);
  sleepTimer = setTimeout(disconnect, 30000);
});

// A page that was left is kept for "back", with its stream; six of them would use up all connections.
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", (event) => event.persisted && connect(true));

// ---- Small things ----------------------------------------------------------------------------

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

/** The words the server uses too, so that nothing flickers: "just now", "3 days ago", "in 2 hours". */
function relative(seconds) {
  const [unit, size] = UNITS.find(([, s]) => Math.abs(seconds) >= s) ?? [];
  if (!unit) return seconds < 0 ? "in a moment" : "just now";
  const n = Math.floor(Math.abs(seconds) / size);
  const words = `${n} ${unit}${n === 1 ? "" : "s"}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

function updateTimes() {
  for (const time of $$("time[data-rel]")) {
    const instant = new Date(time.dateTime);
    if (isNaN(instant)) continue;
    const text = relative((Date.now() - instant) / 1000);
    if (time.textContent !== text) time.textContent = text;
    time.title = instant.toISOString().slice(0, 19).replace("T", " ") + " UTC";
  }
}
setInterval(updateTimes, 60000);

on("click", "[data-copy]", async (_, button) => {
  const { copy } = button.dataset;
  try {
    await navigator.clipboard.writeText(copy);
  } catch {
    // Plain HTTP has no clipboard interface; a selected field still can be copied.
    const field = Object.assign(document.createElement("textarea"), { value: copy });
    button.after(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.classList.add("is-copied");
  button.title = "Copied";
  await sleep(1500);
  button.classList.remove("is-copied");
  button.title = "";
});

const THEMES = ["system", "light", "dark"];
function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "system";
  for (const button of $$("[data-theme-switch]")) {
    button.setAttribute("aria-label", `Theme: ${theme}`);
    button.title = `Theme: ${theme}`;
  }
  return theme;
}
on("click", "[data-theme-switch]", () => {
  const next = THEMES[(THEMES.indexOf(showTheme()) + 1) % 3];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Not remembered, but shown.
  }
  showTheme();
});

/** Says that a training job has ended, to whoever may see it. */
async function announce(topic) {
  const answer = await fetch(`/training/jobs/${topic.split(":")[1]}/toast`, { headers: { "X-Live": "1" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const toast = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".toast");
  if (!toast) return;
  $("[data-toast]").append(toast);
  startToast(toast);
}

function startToast(toast) {
  let timer;
  const start = () => (timer = setTimeout(() => toast.remove(), 8000));
  const hold = () => clearTimeout(timer);
  toast.addEventListener("pointerenter", hold);
  toast.addEventListener("focusin", hold);
  toast.addEventListener("pointerleave", start);
  toast.addEventListener("focusout", start);
  if (!toast.matches(".toast-bad")) start();
}
on("click", "[data-dismiss]", (_, button) => button.closest(".toast").remove());

/** Where something is that MLflow's client links to, as MLflow's own page has it: `/#/experiments/1/runs/…`. */
function placeOfMlflow() {
  const [, kind, name, , run] = location.hash.split(/[/?]/);
  if (kind === "experiments") return run ? `/training/runs/${run}` : "/training/jobs";
  return kind === "models" && name ? `/models?q=${name}` : null;
}

function followMlflow() {
  const place = placeOfMlflow();
  const next = $("form[action='/sign-in'] [name=next]");
  // Who has to sign in first is led there afterwards.
  if (place && next) next.value = place;
  else if (place) location.replace(place);
}
window.addEventListener("hashchange", followMlflow);

// ---- Start -----------------------------------------------------------------------------------

// Once the later scripts are there too.
document.addEventListener("DOMContentLoaded", () => {
  // A polite region announces what is added to it, not what it was born with.
  for (const region of $$("[data-toast]")) {
    const toasts = [...region.children];
    region.replaceChildren();
    setTimeout(() => region.append(...toasts), 100);
    toasts.forEach(startToast);
  }
  showTheme();
  settle();
  connect(false);
  followMlflow();
});
