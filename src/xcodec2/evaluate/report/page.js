"use strict";
// A click on a column's head sorts by it, the largest first; another click turns it round.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    head.addEventListener("click", () => {
      const sign = head.dataset.order === "down" ? 1 : -1;
      table.querySelectorAll("thead th").forEach((other) => delete other.dataset.order);
      head.dataset.order = sign < 0 ? "down" : "up";
      const value = (row) => row.cells[column].firstChild?.textContent ?? "";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const [p, q] = [parseFloat(x), parseFloat(y)];
        if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q) || -sign * x.localeCompare(y);
        return sign * (p - q);
      });
      table.tBodies[0].append(...rows);
    });
  });
}
// Only one player at a time.
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
