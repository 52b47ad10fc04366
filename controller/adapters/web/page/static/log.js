// Shows a log, its end first, and what is written meanwhile. All of it is a stage's: it is added as text, never as HTML.

const view = document.getElementById("log");
const state = document.getElementById("log-state");
const find = document.getElementById("log-find");
const end = document.getElementById("log-end");
const BLOCK = 500; // lines; the browser lays out only the blocks that are seen
const ROOM = 96 << 20; // characters that are kept; a batch stage's whole log has at most 64 MiB
const LONGEST = 1 << 16; // characters of a line; a longer one is broken
const AGAIN = 2000; // ms
const SEQUENCE = /\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])/g; // ECMA-48: colours
const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

let blocks, rest, kept; // what is shown: lines by block, the line without an end, characters
let abort, wait;

function clean(line) { // of a line that was written over, as a progress bar, its last state
  const last = line.replace(/\r+$/, "");
  return last.slice(last.lastIndexOf("\r") + 1).replace(SEQUENCE, "").replace(HIDDEN, (one) => {
    return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function broken(line) {
  if (line.length <= LONGEST) return [line];
  const last = line.slice(line.lastIndexOf("\r", line.length - 2) + 1);
  return last.match(/[^]{1,65536}/g);
}

function clear() {
  blocks = [];
  rest = "";
  kept = 0;
  view.replaceChildren(document.createElement("pre")); // of the line without an end
}

function add(text) {
  const stays = atEnd();
  const lines = (rest + text).split("\n").flatMap(broken);
  rest = lines.pop();
  for (let from = 0; from < lines.length; ) {
    let block = blocks.at(-1);
    if (!block || block.lines.length >= BLOCK) blocks.push((block = { lines: [], place: document.createElement("pre") }));
    const some = lines.slice(from, from + BLOCK - block.lines.length).map(clean);
    from += some.length;
    kept += some.reduce((sum, line) => sum + line.length + 1, 0);
    block.lines.push(...some);
    block.place.append(some.filter(found).map((line) => `${line}\n`).join(""));
    if (!block.place.isConnected) view.lastChild.before(block.place);
  }
  view.lastChild.textContent = clean(rest);
  while (kept > ROOM) {
    const first = blocks.shift();
    kept -= first.lines.reduce((sum, line) => sum + line.length + 1, 0);
    first.place.remove();
  }
  if (stays) toEnd();
}

function found(line) {
  return !find.value || line.toLowerCase().includes(find.value.toLowerCase());
}

function filter() {
  for (const { lines, place } of blocks) place.textContent = lines.filter(found).map((line) => `${line}\n`).join("");
  toEnd();
}

function atEnd() {
  return view.scrollHeight - view.scrollTop - view.clientHeight < 8;
}

function toEnd() {
  view.scrollTop = view.scrollHeight;
}

async function read() {
  stop();
  const { signal } = (abort = new AbortController());
  try {
    const answer = await fetch(view.dataset.source, { cache: "no-store", signal });
    if (answer.ok) {
      say("");
      await pour(answer.body.pipeThrough(new TextDecoderStream()).getReader(), signal);
      return;
    }
    const said = await answer.json().catch(() => ({}));
    say(said.error ?? answer.statusText);
    if (answer.status === 429 || answer.status >= 500) wait = setTimeout(read, AGAIN);
  } catch {
    if (signal.aborted) return;
    say("Connection lost. Trying again …");
    wait = setTimeout(read, AGAIN);
  }
}

function stop() {
  clearTimeout(wait);
  abort?.abort();
}

function say(words) {
  state.textContent = words;
}

async function pour(reader, signal) {
  let first = true, waiting = "", drawn = Promise.resolve();
  for (let chunk; !(chunk = await reader.read()).done; ) {
    if (first) clear(); // only now: what was shown stays while there is nothing to replace it
    first = false;
    waiting += chunk.value;
    if (waiting !== chunk.value) continue; // the next frame draws it
    drawn = new Promise(frame).then(() => {
      if (!signal.aborted) add(waiting);
      waiting = "";
    });
  }
  await drawn;
}

function frame(done) { // no frame is drawn where nobody looks
  if (document.hidden) setTimeout(done, 200);
  else requestAnimationFrame(done);
}

clear();
find.addEventListener("input", filter);
end.addEventListener("click", () => { toEnd(); view.focus(); });
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => {
  if (event.persisted) read();
});
document.addEventListener("visibilitychange", () => {
  if (!view.dataset.source.includes("follow=1")) return; // it is read once
  if (document.hidden) stop();
  else read();
});
read();
