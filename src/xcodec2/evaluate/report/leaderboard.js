// Rows that every filter lets through are shown, and counted; columns where they have something.
const filters = [...document.querySelectorAll("[data-filter]")];
const filter = () => {
  const rows = [...document.querySelectorAll("#leaderboard tbody tr")];
  for (const row of rows) {
    row.hidden = !filters.every((field) => {
      const have = row.dataset[field.dataset.filter];
      if (field.type === "search") return have.toLowerCase().includes(field.value.toLowerCase());
      return field.value === "any" || have === field.value;
    });
  }
  const shown = rows.filter((row) => !row.hidden);
  for (const [place, head] of document.querySelectorAll("#leaderboard thead th").entries()) {
    const empty = shown.every((row) => ["", "–"].includes(row.cells[place].textContent));
    for (const cell of [head, ...rows.map((row) => row.cells[place])]) cell.hidden = empty && shown.length > 0;
  }
  document.querySelector("#count").textContent = `${shown.length} of ${rows.length} rows`;
};
for (const field of filters) field.addEventListener("input", filter);
filter();
