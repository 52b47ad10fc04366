"use strict";
// Keeps a page as the controller sees it: after each event the page is fetched again, and only what differs is
// replaced, so that focus, selection, scroll and what is open stay. Nothing is fetched while nobody looks.

const main = document.getElementById("main");
const { events } = document.body.dataset;
const PAUSE = 1000; // between two fetches, and ten times what the last one took
const LONGEST = 8000; // between two attempts to connect
const PATIENCE = 45000; // without a sign of life; one comes every 15 s

// --- replace what differs ---------------------------------------------------------------------------

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
  } else if (!("keep" in old.dataset)) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name); // <details> is the reader's
    }
    morphChildren(old, fresh);
  }
}

function morphChildren(old, fresh) {
  const coming = new Set([...fresh.children].map((node) => node.id));
  for (const node of [...old.children]) if (node.id && !coming.has(node.id)) node.remove();
  const here = new Map([...old.children].filter((node) => node.id).map((node) => [node.id, node]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = next.id ? here.get(next.id) : at && !at.id && at.nodeName === next.nodeName ? at : undefined;
    while (same && at !== same && at && !at.id) at = removed(at); // what has an id is moved only if the order changed
    if (!same) {
      old.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    morph(same, next);
  }
  while (at) at = removed(at);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// --- stay connected -----------------------------------------------------------------------------------

let source, wait, patience, beat, late = 0; // late: how far the server's clock is ahead of this one, in ms
let connected = false, fetching = false, again = false, pause = PAUSE;
let hasty = false, hurry = () => {}; // where a person waits

function connect() {
  clearTimeout(wait);
  if (document.hidden || source || !events) return;
  source = new EventSource(events);
  source.addEventListener("alive", alive);
  source.addEventListener("change", () => {
    alive();
    refresh();
  });
  source.onerror = lost;
  patience = setTimeout(lost, PATIENCE);
}

function disconnect() {
  for (const timer of [wait, patience, beat]) clearTimeout(timer);
  source?.close();
  source = undefined;
}

function alive() {
  clearTimeout(patience);
  patience = setTimeout(lost, PATIENCE);
  connected = true;
}

async function lost() {
  disconnect();
  if (document.hidden) return;
  connected = false;
  wait = setTimeout(connect, pause);
  pause = Math.min(2 * pause, LONGEST);
  const why = await cause();
  if (!connected) say(`Connection lost${why}: what you see may be old. Trying again …`);
}

async function cause() { // what stands between this page and the controller may say it, or the page itself
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => undefined);
  if (!answer || answer.ok) return "";
  const said = isPage(answer) ? (await parsed(answer)).querySelector("main p").textContent : await answer.text();
  return answer.headers.get("Content-Type")?.startsWith("text/") ? ` (${said.trim().slice(0, 200)})` : "";
}

function isPage(answer) {
  return answer.headers.get("Content-Type")?.startsWith("text/html");
}

async function parsed(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function say(words) {
  const place = document.getElementById("connection");
  if (place.textContent !== words) place.textContent = words;
  place.hidden = !words;
}

async function refresh() {
  again = true;
  if (fetching) return;
  fetching = true;
  while (again) {
    again = hasty = false;
    const began = performance.now();
    try {
      const address = location.href;
      const answer = await fetch(address, { cache: "no-store" });
      if (!isPage(answer) || answer.status === 503) throw new Error(answer.statusText); // what is shown is better
      late = Date.parse(answer.headers.get("Date")) - Date.now() || 0;
      const page = await parsed(answer);
      if (address === location.href) show(page);
    } catch {
      lost();
    }
    if (hasty) continue;
    await new Promise((done) => {
      hurry = done;
      setTimeout(done, Math.max(PAUSE, 10 * (performance.now() - began)));
    });
  }
  fetching = false;
  clearTimeout(beat);
  const seconds = Number(main.dataset.beat); // of what grows by itself, as a timeline
  if (seconds && source) beat = setTimeout(refresh, 1000 * seconds);
}

function show(page) {
  const focused = document.activeElement;
  pause = PAUSE;
  say("");
  document.title = page.title;
  morph(main, page.getElementById("main"));
  if (main.contains(focused)) focused.focus({ preventScroll: true }); // it was moved
  tick();
}

// --- ages, and searches ---------------------------------------------------------------------------------

function duration(seconds) { // as format_duration in core/text.py
  const whole = Math.max(Math.round(seconds), 0);
  for (const [unit, name, below, part] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= unit) return `${Math.floor(whole / unit)} ${name} ${Math.floor((whole % unit) / below)} ${part}`;
  }
  return `${whole} s`;
}

function tick() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-since]")) {
    const words = duration((Date.now() + late - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== words) time.textContent = words;
  }
}

let typing;

function search(field) { // the server does it
  const address = new URL(location.href);
  address.searchParams.delete("page");
  address.searchParams.delete(field.dataset.query);
  if (field.value) address.searchParams.set(field.dataset.query, field.value);
  history.replaceState(null, "", address);
  hasty = true;
  refresh();
  hurry();
}

main.addEventListener("input", ({ target }) => {
  if (!target.dataset.query) return;
  clearTimeout(typing);
  typing = setTimeout(search, 200, target);
});
document.addEventListener("keydown", (event) => {
  const field = document.querySelector("input[type=search]");
  const meant = event.key === "/" && !(event.ctrlKey || event.metaKey || event.altKey);
  if (!field || !meant || event.target.matches("input, textarea, select")) return;
  field.focus();
  event.preventDefault();
});
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", connect);
setInterval(tick, 1000);
