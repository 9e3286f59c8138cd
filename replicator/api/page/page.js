"use strict";
// Keeps the page as the daemon tells it, and says so when nothing is heard from it any more.

const UNHEARD_S = 10; // then nothing that is shown is taken for true any more
const SILENT_S = 8; // then a stream is given up, and the daemon asked
const AGAIN_MS = [1000, 5000]; // after the first failure, and after those that follow

let heardAt = Date.now();
let listeningAt = heardAt; // since when something should have been heard
let stream = null;
let token = "";
let failures = 0;
let isEnding = false;

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const since = (at) => Math.max(0, Math.round((Date.now() - at) / 1000));

// Makes one element like another and changes only what differs, so that focus, place and what is read aloud remain.
function become(shown, told) {
  if (told.nodeType === Node.ELEMENT_NODE && told.hasAttribute("data-keep")) {
    if (shown.dataset?.lag !== told.dataset.keep) shown.replaceWith(document.importNode(told, true));
    return;
  }
  if (shown.nodeType !== told.nodeType || shown.nodeName !== told.nodeName) {
    shown.replaceWith(document.importNode(told, true));
    return;
  }
  if (told.nodeType !== Node.ELEMENT_NODE) {
    if (shown.data !== told.data) shown.data = told.data;
    return;
  }
  for (const { name } of [...shown.attributes]) if (!told.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of told.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  const before = [...shown.childNodes];
  const after = [...told.childNodes];
  after.forEach((child, n) => {
    if (n < before.length) become(before[n], child);
    else shown.append(document.importNode(child, true));
  });
  before.slice(after.length).forEach((child) => child.remove());
}

function hear(html) {
  const told = new DOMParser().parseFromString(html, "text/html").getElementById("content");
  if (told === null) throw new Error("this is no content");
  heardAt = Date.now();
  isEnding = false;
  become(byId("content"), told);
  if (token) byId("refusal").textContent = "";
  label();
}

// What the content says of itself, beside it.
function label() {
  document.title = byId("content").dataset.title;
  byId("unlock").hidden = byId("content").dataset.locked !== "token";
  tick();
}

function tick() {
  const unheard = since(heardAt);
  const isStale = unheard >= UNHEARD_S;
  const ended = isEnding ? "The daemon said that it is being stopped. " : "";
  byId("heard").textContent = `${ended}Last heard ${unheard} s ago${isStale ? ": all of this is as it was then." : "."}`;
  byId("heard").classList.toggle("lost", isStale);
  if (isStale) doubt(since(Math.max(heardAt, listeningAt)) >= UNHEARD_S);
  if (stream !== null && since(Math.max(heardAt, stream.openedAt)) >= SILENT_S) stream.abort();
}

// Nothing that is shown may be taken for true; `isLost`, or else nobody listened, as while the page was hidden.
function doubt(isLost) {
  const word = isLost ? "Nothing is heard from the daemon" : "Asking the daemon again";
  if (byId("verdict").textContent === word) return;
  byId("content").classList.add("stale");
  byId("verdict").className = isLost ? "verdict bad" : "verdict wait";
  byId("verdict").textContent = word;
  document.title = `${word}: ${document.querySelector("h1").textContent}`;
}

async function ask(accept, signal) {
  const headers = { Accept: accept };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch("v1/page", { headers, signal, cache: "no-store" });
  if (answer.status === 401) {
    token = "";
    byId("refusal").textContent = "The daemon refuses this token.";
  }
  if (!answer.ok) throw new Error(`the daemon answers ${answer.status}`);
  return answer;
}

function take(event) {
  const lines = event.split("\n");
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  if (lines[0] === "event: content") {
    hear(data.join("\n"));
    failures = 0;
  }
  if (lines[0] === "event: ending") isEnding = true;
}

// By events, until the stream breaks.
async function listen() {
  stream = new AbortController();
  stream.openedAt = Date.now();
  try {
    const answer = await ask("text/event-stream", stream.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (rest + part.value).split("\n\n");
      rest = events.pop();
      events.forEach(take);
    }
  } finally {
    stream = null;
  }
}

async function poll() {
  const answer = await ask("text/html", AbortSignal.timeout(SILENT_S * 1000));
  hear(await answer.text());
}

async function attempt(way) {
  try {
    await way();
  } catch {
    // Whatever it was: that nothing is heard is shown, and it is tried again.
  }
}

function seen() {
  return document.hidden
    ? new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })).then(seen)
    : Promise.resolve();
}

async function follow() {
  for (;;) {
    await seen();
    await attempt(listen);
    await pause(AGAIN_MS[Math.min(failures++, 1)]);
    await seen();
    await attempt(poll);
  }
}

byId("unlock").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const given = byId("token").value.trim();
  byId("token").value = "";
  if (!/^[ -~]+$/.test(given)) {
    byId("refusal").textContent = "No token has such characters.";
    return;
  }
  token = given;
  if (stream !== null) stream.abort();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    listeningAt = Date.now();
    tick();
    attempt(poll);
  } else if (stream !== null) stream.abort();
});
label();
setInterval(tick, 1000);
follow();
