// Sorts tables by a click on a column's name. The page says everything without it.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const order = new Intl.Collator("en", { numeric: true });
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
  };
  for (const table of document.querySelectorAll(".wide table")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 3) continue;
    const asWritten = Array.from(body.rows);
    const names = Array.from(table.tHead.rows[0].cells);
    names.forEach((name, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...name.childNodes);
      name.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" };
        const now = next[name.getAttribute("aria-sort")] || "ascending";
        names.forEach((other) => other.removeAttribute("aria-sort"));
        if (now !== "none") name.setAttribute("aria-sort", now);
        const sign = now === "descending" ? -1 : 1;
        const rows = asWritten.slice();
        if (now !== "none") {
          rows.sort((a, b) => {
            const [x, y] = [keyOf(a, column), keyOf(b, column)];
            return sign * (typeof x === "number" && typeof y === "number" ? x - y : order.compare(x, y));
          });
        }
        body.append(...rows);
      });
    });
  }
});
