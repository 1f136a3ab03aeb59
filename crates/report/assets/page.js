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

// Plots over the same rows show the same part of them.
const linked = data.linked.map((id) => live.get(id)).filter(Boolean);
const showAll = (from, to) => linked.forEach(({ plot }) => plot?.show(from, to));

function drawAll() {
  for (const entry of live.values()) {
    entry.plot?.destroy();
    entry.plot = null;
  }
  for (const entry of live.values()) {
    entry.plot = chart(entry.holder, entry.figure, linked.includes(entry) ? { shown: showAll } : {});
  }
}

drawAll();
const inner = data.inside ? explorer(data.inside) : null;

// A link to a part of the series: the browser goes to the plots, and they to that part.
for (const link of document.querySelectorAll("a[data-from]")) {
  link.addEventListener("click", () => {
    showAll(Number(link.dataset.from), Number(link.dataset.to));
    if (link.dataset.window) inner?.choose(link.dataset.window);
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawAll();
  inner?.redraw();
});

// For tests, and for the curious.
window.glassbox = { data, plots: live };
