// Rows that every filter lets through are shown, and counted.
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
  document.querySelector("#count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
};
for (const field of filters) field.addEventListener("input", filter);
filter();
