// Replaces what has changed in elements with data-live="SECONDS" by the newest version of the page.
// Everything else stays: focus, marked boxes, selection, scrolling.
"use strict";

for (const element of document.querySelectorAll("[data-live]")) {
  const pause = 1000 * Number(element.dataset.live);
  const refresh = async () => {
    try {
      if (!document.hidden) {
        const response = await fetch(location.href);
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const newer = response.ok && page.getElementById(element.id);
        if (newer) update(element, newer);
        element.classList.toggle("stale", !newer);
      }
    } catch {
      element.classList.add("stale"); // the server or the tunnel has ended
    } finally {
      if (element.dataset.live) setTimeout(refresh, pause);
    }
  };
  setTimeout(refresh, pause);
}

// Changes an element into a newer one; only nodes that differ are touched.
function update(old, newer) {
  if (old.isEqualNode(newer)) return;
  if (old.nodeName !== newer.nodeName || old.id !== newer.id) {
    old.replaceWith(document.importNode(newer, true));
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = newer.nodeValue;
  } else {
    for (const { name } of [...old.attributes]) {
      if (!newer.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of newer.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    if ("keyed" in newer.dataset) updateKeyed(old, newer);
    else updateChildren(old, [...newer.childNodes]);
  }
}

function updateChildren(old, after) {
  const before = [...old.childNodes];
  after.forEach((node, i) => {
    if (before[i]) update(before[i], node);
    else old.append(document.importNode(node, true));
  });
  before.slice(after.length).forEach((node) => node.remove());
}

// Changes a list whose elements have ids: new ones come in between, the others stay themselves.
function updateKeyed(old, newer) {
  const gone = new Map([...old.children].map((child) => [child.id, child]));
  let place = old.firstElementChild;
  for (const child of newer.children) {
    const known = gone.get(child.id);
    gone.delete(child.id);
    if (!known) {
      old.insertBefore(document.importNode(child, true), place);
    } else {
      if (known === place) place = place.nextElementSibling;
      else old.insertBefore(known, place);
      update(known, child);
    }
  }
  gone.forEach((child) => child.remove());
}
