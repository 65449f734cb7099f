"use strict";
(() => {
  const svg = document.querySelector("svg");
  const rows = [...document.querySelectorAll("tr[data-kind]")];
  if (svg) {
    const home = svg.getAttribute("viewBox").split(" ").map(Number);
    let box = [...home];
    let from = null;
    const show = () => svg.setAttribute("viewBox", box.join(" "));
    const zoom = (factor, x, y) => {
      box = [x - (x - box[0]) * factor, y - (y - box[1]) * factor, box[2] * factor, box[3] * factor];
      show();
    };
    const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const at = place(event);
      zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, at.x, at.y);
    }, { passive: false });
    svg.addEventListener("pointerdown", (event) => { from = place(event); svg.setPointerCapture(event.pointerId); });
    svg.addEventListener("pointerup", () => { from = null; });
    svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      const at = place(event);
      box[0] += from.x - at.x;
      box[1] += from.y - at.y;
      show();
    });
    const middle = (factor) => zoom(factor, box[0] + box[2] / 2, box[1] + box[3] / 2);
    const press = (id, action) => document.getElementById(id).addEventListener("click", action);
    press("nearer", () => middle(1 / 1.6));
    press("farther", () => middle(1.6));
    press("whole", () => { box = [...home]; show(); });
    for (const row of rows) {
      if (!row.dataset.at) continue;
      row.addEventListener("click", () => {
        const [x, y, span] = row.dataset.at.split(" ").map(Number);
        const height = span * home[3] / home[2];
        box = [x - span / 2, y - height / 2, span, height];
        show();
        document.querySelectorAll(".item.on").forEach((item) => item.classList.remove("on"));
        document.getElementById(row.dataset.item).classList.add("on");
        svg.scrollIntoView({ behavior: "smooth", block: "center" });
      });
    }
  }
  for (const button of document.querySelectorAll("button[data-kind]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      document.querySelectorAll(`[data-kind="${button.dataset.kind}"]:not(button)`)
        .forEach((part) => part.classList.toggle("hidden", !on));
    });
  }
})();
