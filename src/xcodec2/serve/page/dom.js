/** The element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Do some work; what fails is shown as text in the section's alert. */
export async function reporting(area, work) {
  byId(area).textContent = "";
  try {
    return await work();
  } catch (problem) {
    if (problem.name !== "AbortError") byId(area).textContent = sentence(problem);
    return undefined;
  }
}

function sentence(problem) {
  const text = `${problem.message || problem}`.trim();
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Offer bytes under a link; the link's earlier ones are given up. */
export function offer(link, bytes, type, name) {
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
}

/** A number of the page's style, for canvases. */
export function color(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A canvas's context, with as many dots as the screen has; also its size in them. */
export function fitted(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  return { context: canvas.getContext("2d"), width: canvas.width, height: canvas.height };
}

/** A file's name without its folder and suffix, fit for new names. */
export function stem(name) {
  return name.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "") || "speech";
}
