// Shows the button that marks all boxes of a list, or none if all are marked.
"use strict";

for (const button of document.querySelectorAll("[data-choose-all]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const boxes = [...button.form.querySelectorAll("input[type=checkbox]")];
    const choose = boxes.some((box) => !box.checked);
    boxes.forEach((box) => { box.checked = choose; });
  });
}
