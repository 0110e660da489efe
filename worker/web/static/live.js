// Replaces what has changed in elements with data-live="SECONDS" by the newest version of the page.
// Everything else stays: focus, selection, scrolling, open details.
"use strict";

for (const element of document.querySelectorAll("[data-live]")) {
  const pause = 1000 * Number(element.dataset.live);
  const refresh = async () => {
    try {
      if (document.hidden || element.contains(document.activeElement) && element.querySelector(":focus-visible input, input:focus")) return;
      const response = await fetch(location.href, { headers: { "X-Refresh": "1" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const newer = response.ok && page.getElementById(element.id);
      if (newer) update(element, newer);
      element.classList.toggle("stale", !newer);
    } catch {
      element.classList.add("stale"); // the server or the tunnel has ended
    } finally {
      setTimeout(refresh, pause);
    }
  };
  setTimeout(refresh, pause);
}

// Changes an element into a newer one, touching only nodes that differ.
function update(old, newer) {
  if (old.isEqualNode(newer)) return;
  const same = old.nodeType === newer.nodeType && old.nodeName === newer.nodeName;
  if (!same || (old.id || "") !== (newer.id || "")) {
    old.replaceWith(newer.cloneNode(true));
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = newer.nodeValue;
  } else {
    for (const { name } of [...old.attributes]) {
      if (!newer.hasAttribute(name) && name !== "open" && name !== "class") old.removeAttribute(name);
    }
    for (const { name, value } of newer.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const [before, after] = [[...old.childNodes], [...newer.childNodes]];
    after.forEach((node, i) => before[i] ? update(before[i], node) : old.append(node.cloneNode(true)));
    before.slice(after.length).forEach((node) => node.remove());
  }
}
