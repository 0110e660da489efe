// Uploads chosen or dropped files and folders, several at a time, and shows what becomes of each.
"use strict";

const CONNECTIONS = 6; // what browsers open to one host
const ROWS = 1000; // that are shown
const ATTEMPTS = 5;
const ENDED = ["done", "quarantined", "dropped", "missing", "failed", "ignored"];
const form = document.getElementById("upload");
const csrf = document.querySelector("meta[name=csrf-token]").content;
const rows = document.getElementById("rows");
const files = [];
const queue = [];
let sending = 0;
let isAsking = false;

document.getElementById("drop-hint").hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  chosen();
});
for (const input of form.querySelectorAll("input[type=file]")) input.addEventListener("change", chosen);

function chosen() {
  for (const input of form.querySelectorAll("input[type=file]")) {
    for (const file of input.files) add(file, file.webkitRelativePath || file.name);
    input.value = "";
  }
}

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", async (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  form.classList.remove("over");
  // Entries are lost once the handler has returned, so all are taken first.
  const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  for (const entry of entries) await walk(entry);
});

async function walk(entry) {
  if (!entry) return;
  if (entry instanceof File) {
    add(entry, entry.name);
  } else if (entry.isFile) {
    try {
      add(await new Promise((resolve, reject) => entry.file(resolve, reject)), entry.fullPath.slice(1));
    } catch {
      end(row({ name: entry.fullPath.slice(1), size: 0 }), "failed", "The browser cannot read it.");
    }
  } else {
    const reader = entry.createReader();
    for (;;) { // a few at a time
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  }
}

function add(file, name) {
  const one = row({ file, name, size: file.size, pipeline: form.elements.pipeline.value });
  if (file.size === 0) {
    end(one, "failed", "The file is empty: nothing can be made of it.");
  } else if (file.size > Number(form.dataset.limit)) {
    end(one, "failed", `The file is larger than ${form.dataset.limitText}, the limit of this stack.`);
  } else {
    queue.push(one);
    while (sending < CONNECTIONS && queue.length) send(queue.shift());
  }
}

function row(one) {
  Object.assign(one, { state: "queued", sent: 0, attempt: 0 });
  files.push(one);
  document.getElementById("progress").hidden = false;
  if (files.length <= ROWS) {
    one.row = document.createElement("tr");
    const state = one.row.insertCell();
    one.label = document.createElement("span");
    one.label.className = "state";
    one.label.textContent = "queued";
    state.append(one.label);
    one.title = document.createElement("th");
    one.title.scope = "row";
    one.title.className = "key";
    one.title.textContent = one.name;
    const size = one.row.insertCell();
    size.className = "nowrap";
    size.textContent = bytes(one.size);
    size.before(one.title);
    rows.append(one.row);
  } else {
    const more = document.getElementById("more");
    more.hidden = false;
    more.textContent = `and ${(files.length - ROWS).toLocaleString("en")} more`;
  }
  summarize();
  return one;
}

function send(one) {
  sending += 1;
  const request = new XMLHttpRequest();
  const path = [one.pipeline, ...one.name.split("/")].map(encodeURIComponent).join("/");
  request.open("PUT", `/upload/${path}`);
  request.setRequestHeader("X-CSRF-Token", csrf);
  request.responseType = "json";
  request.upload.onprogress = (event) => {
    one.sent = event.loaded;
    if (one.progress) one.progress.value = event.loaded;
    summarize();
  };
  request.onload = () => {
    if (request.status === 200) stored(one, request.response.files[0]?.token);
    else failed(one, request.response?.error ?? `The server answered ${request.status}.`, request);
    next();
  };
  request.onerror = () => {
    failed(one, "The connection to the server was lost, or the file cannot be read any more.");
    next();
  };
  show(one, "running", "uploading");
  if (one.label && one.size > 1e6) {
    one.progress = document.createElement("progress");
    one.progress.max = one.size;
    one.progress.value = 0;
    one.progress.setAttribute("aria-label", `Upload of ${one.name}`);
    one.label.after(one.progress);
  }
  request.send(one.file);
}

function next() {
  sending -= 1;
  if (queue.length) send(queue.shift());
}

function stored(one, token) {
  if (!token) {
    end(one, "ignored", "The pipeline ignores files of this name.");
    return;
  }
  Object.assign(one, { token, sent: one.size, file: null });
  one.progress?.remove();
  show(one, "waiting", "waiting");
  if (!isAsking) ask();
}

function failed(one, text, request) {
  one.progress?.remove();
  one.sent = 0;
  one.attempt += 1;
  const isTemporary = !request || request.status === 429 || request.status === 503;
  if (!isTemporary || one.attempt === ATTEMPTS) {
    end(one, "failed", text);
    return;
  }
  show(one, "waiting", "retrying", text);
  const seconds = Number(request?.getResponseHeader("Retry-After")) || 2 ** one.attempt;
  setTimeout(() => {
    queue.push(one);
    if (sending < CONNECTIONS) send(queue.shift());
  }, 1000 * seconds);
}

// Asks what became of the stored files until each has ended.
async function ask() {
  isAsking = true;
  let pause = 500, round = 0;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const open = files.filter((one) => one.token && !ENDED.includes(one.state));
    if (!open.length) break;
    try {
      const start = (1000 * round++) % open.length;
      const known = new Map(open.slice(start, start + 1000).map((one) => [one.token, one]));
      const response = await fetch("/upload/states", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
        body: JSON.stringify([...known.keys()]),
      });
      if (!response.ok) throw new Error(response.status);
      let changed = false;
      for (const { token, state, reason, job } of await response.json()) {
        const one = known.get(token);
        changed ||= one.state !== state;
        if (job) link(one, job);
        if (one.state !== state) show(one, state, state, reason);
      }
      pause = changed ? 500 : Math.min(2 * pause, 4000);
    } catch {
      pause = 4000; // the server or the tunnel has ended
    }
  }
  isAsking = false;
}

function end(one, state, text) {
  one.file = null;
  show(one, state, state, text);
}

function show(one, state, label, text) {
  one.state = state;
  if (one.label) {
    one.label.className = `state ${state === "failed" ? "quarantined" : state}`;
    one.label.textContent = label;
    one.note?.remove();
    if (text) {
      one.note = document.createElement("div");
      one.note.className = "muted small";
      one.note.textContent = text;
      one.title.append(one.note);
    }
  }
  summarize();
}

function link(one, job) {
  if (!one.title || one.title.querySelector("a")) return;
  const anchor = document.createElement("a");
  anchor.href = `/jobs/${job}`;
  anchor.textContent = one.name;
  one.title.firstChild.replaceWith(anchor);
}

let isSummarized = true;
function summarize() {
  if (!isSummarized) return;
  isSummarized = false;
  setTimeout(() => {
    isSummarized = true;
    const count = (test) => files.filter(test).length.toLocaleString("en");
    const total = files.reduce((sum, one) => sum + one.size, 0);
    const sent = files.reduce((sum, one) => sum + one.sent, 0);
    const parts = [
      `${count((one) => one.token)} of ${count(() => true)} uploaded (${bytes(sent)} of ${bytes(total)})`,
      `${count((one) => one.state === "done")} done`,
    ];
    for (const state of ["quarantined", "failed", "ignored"]) {
      const found = count((one) => one.state === state);
      if (found !== "0") parts.push(`${found} ${state}`);
    }
    document.getElementById("summary").textContent = parts.join(", ");
  }, 300);
}

function bytes(count) {
  let value = count, unit = "B";
  for (const larger of ["kB", "MB", "GB", "TB"]) {
    if (value < 1000) break;
    [value, unit] = [value / 1000, larger];
  }
  return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

window.addEventListener("beforeunload", (event) => {
  if (sending || queue.length) event.preventDefault();
});
