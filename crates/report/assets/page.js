// Puts a plot that answers in the place of each picture, and the explorer in the place of its two windows.

const data = JSON.parse(document.getElementById("run-data").textContent);
const live = new Map();

for (const figure of data.figures) {
  const place = document.querySelector(`[data-figure="${figure.id}"]`);
  if (!place) continue;
  const holder = document.createElement("div");
  holder.className = "live-plot";
  const frame = document.createElement("div");
  frame.className = "live";
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", figure.alt);
  frame.append(holder, toolbar(() => live.get(figure.id).plot, figure.title, figure.spans));
  place.append(frame);
  live.set(figure.id, { figure, holder, plot: null });
}
document.documentElement.classList.add("js");

function drawAll() {
  for (const entry of live.values()) {
    entry.plot?.destroy();
    entry.plot = chart(entry.holder, entry.figure);
  }
}

drawAll();
const times = Object.fromEntries(["train", "test"].map((part) => [part, data.figures.find((figure) => figure.id === "series-" + part).x]));
const inner = data.inside ? explorer(data.inside, times) : null;

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawAll();
  inner?.redraw();
});

// For tests, and for the curious.
window.glassbox = { data, plots: live };
