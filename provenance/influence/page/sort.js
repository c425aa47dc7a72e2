"use strict";
// The tables are whole without this script; it only lets them be sorted, and opens all texts for printing.
for (const table of document.querySelectorAll("table.ranked")) {
  table.classList.add("sortable");
  table.querySelectorAll("thead th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${head.textContent}`);
    button.textContent = "↕";
    head.append(button); // beside the words, which a printer repeats on every sheet
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const column = head.dataset.sort;
      const key = (body) => body.querySelector(`[data-${column}]`).getAttribute(`data-${column}`);
      const number = head.dataset.type === "number";
      const order = (a, b) => {
        const x = key(a), y = key(b);
        if (!number) return x < y ? -1 : x > y ? 1 : 0;
        if (x === "" || y === "") return (x === "") - (y === "");
        return Number(x) - Number(y);
      };
      const bodies = Array.from(table.tBodies).sort((a, b) => (down ? order(b, a) : order(a, b)));
      table.append(...bodies);
      for (const other of table.querySelectorAll("th[aria-sort]")) {
        other.removeAttribute("aria-sort");
        other.querySelector("button").textContent = "↕";
      }
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      button.textContent = down ? "↓" : "↑";
    });
  });
}
addEventListener("beforeprint", () => {
  for (const text of document.querySelectorAll("details")) text.open = true;
});
