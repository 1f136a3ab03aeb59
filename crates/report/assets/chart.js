// A plot that answers: values under the pointer, zoom, dates. Drawn by uPlot from the same data as the picture
// that stands in the page without a script.

const property = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const roles = { limit: "ink", aside: "faint" };
const colourOf = (role) => property(typeof role === "object" ? "layer-" + role.layer : roles[role] ?? role);
const translucent = (colour, part) => colour + Math.round(255 * part).toString(16).padStart(2, "0");
const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
const two = (n) => String(n).padStart(2, "0");
const dateText = (seconds) => {
  const at = new Date(seconds * 1000);
  const rest = at.getUTCSeconds() || at.getUTCMilliseconds() ? `:${two(at.getUTCSeconds())}` : "";
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${rest}`;
};
const short = (value) => (value == null ? "–" : String(Number(value.toPrecision(5))));

// A curve's gaps may hold single values, which no line would show.
const lonely = (u, series) => {
  const y = u.data[series];
  const alone = [];
  for (let i = 0; i < y.length; i++) {
    if (y[i] != null && y[i - 1] == null && y[i + 1] == null) alone.push(i);
  }
  return alone;
};

function seriesOf(curve, many) {
  const colour = colourOf(curve.role);
  const common = { label: curve.name, value: (u, v) => short(v) };
  if (curve.mark === "bars") {
    return { ...common, fill: translucent(colour, 0.85), width: 0, paths: uPlot.paths.bars({ size: [1, Infinity], align: 1, gap: 1 }), points: { show: false } };
  }
  const width = curve.role === "anomaly" ? 2 : many || curve.role === "aside" ? 1 : 1.75;
  return { ...common, stroke: colour, width, spanGaps: false, points: { show: true, filter: lonely, size: 5, fill: colour } };
}

// Shaded intervals lie below the curves, lines across above them.
function drawSpans(u, spans) {
  for (const span of spans) {
    const from = Math.max(u.valToPos(span.from, "x", true), u.bbox.left);
    const to = Math.min(Math.max(u.valToPos(span.to, "x", true), from + 1), u.bbox.left + u.bbox.width);
    if (to <= from) continue;
    u.ctx.fillStyle = translucent(colourOf(span.role), span.role === "anomaly" ? 0.14 : 0.2);
    u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
  }
}

function drawRules(u, rules) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = property("anomaly");
  ctx.lineWidth = 1.5 * ratio;
  ctx.font = `${12 * ratio}px system-ui, sans-serif`;
  for (const rule of rules) {
    const at = u.valToPos(rule.at, rule.vertical ? "x" : "y", true);
    const [low, high] = rule.vertical ? [bbox.left, bbox.left + bbox.width] : [bbox.top, bbox.top + bbox.height];
    if (at < low - 1 || at > high + 1) continue;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath();
    if (rule.vertical) {
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
    } else {
      ctx.moveTo(bbox.left, at);
      ctx.lineTo(bbox.left + bbox.width, at);
    }
    ctx.stroke();
    const room = ctx.measureText(rule.label).width + 12 * ratio;
    ctx.textBaseline = rule.vertical ? "top" : "bottom";
    ctx.textAlign = !rule.vertical || at - room > bbox.left ? "right" : "left";
    const across = rule.vertical ? at + (ctx.textAlign === "right" ? -6 : 6) * ratio : bbox.left + bbox.width - 6 * ratio;
    ctx.fillText(rule.label, across, rule.vertical ? bbox.top + 2 * ratio : at - 3 * ratio);
  }
  ctx.restore();
}

function axesOf(figure) {
  const common = {
    stroke: property("faint"),
    grid: { stroke: property("grid"), width: 1 },
    ticks: { stroke: property("grid"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    labelSize: 18,
  };
  const time = figure.x_axis.scale === "time";
  const hour = 3600, day = 86400;
  const dates = {
    space: 58,
    incrs: [0.001, 0.01, 0.1, 1, 5, 15, 60, 300, 900, 1800, hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 3 * day, 4 * day, 7 * day, 14 * day, 28 * day, 91 * day, 182 * day, 365 * day, 1825 * day, 3650 * day],
    values: (u, splits, axis, space, step) => splits.map((at) => {
      const date = utc(at);
      const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
      if (step < 60) return clock + `:${two(date.getSeconds())}` + (step < 1 ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "");
      if (step > 28 * day) return date.toLocaleDateString("en-GB", { month: "short", year: "numeric" });
      return clock === "00:00" ? date.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : clock;
    }),
  };
  const round = (v) => short(Number(v.toPrecision(12)));
  // Of a logarithmic axis, only 1, 2 and 5 times a power of ten are named.
  const named = (v) => v != null && /^[125]e/.test(Number(v.toPrecision(6)).toExponential());
  const marks = (axis) => axis.scale === "log"
    ? { values: (u, splits) => splits.map((v) => v != null && (named(v) || splits.filter(named).length < 2) ? round(v) : ""), filter: (u, splits) => splits }
    : { values: (u, splits) => splits.map((v) => v == null ? "" : round(v)) };
  return [
    { ...common, size: 30, ...(time ? dates : { label: figure.x_axis.title, ...marks(figure.x_axis) }) },
    { ...common, size: 52, label: figure.y_axis.title, ...marks(figure.y_axis) },
  ];
}

function scalesOf(figure) {
  const time = figure.x_axis.scale === "time";
  const log = figure.y_axis.scale === "log";
  const ends = [figure.x[0], figure.x_end ?? figure.x[figure.x.length - 1]];
  for (const rule of figure.rules) if (rule.vertical) ends.push(rule.at);
  const whole = [Math.min(...ends), Math.max(...ends)];
  const across = figure.rules.filter((rule) => !rule.vertical).map((rule) => rule.at);
  const range = (u, low, high) => {
    const ends = [low, high, ...across].filter((value) => Number.isFinite(value) && (!log || value > 0));
    if (!ends.length) return log ? [1, 10] : [0, 1];
    [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (log) return [low / 1.25, high * 1.4];
    // One value alone, or as good as: the axis goes a tenth of it to both sides.
    const size = Math.max(Math.abs(low), Math.abs(high));
    if (high - low <= 1e-9 * size) return size ? [low - 0.1 * size, high + 0.1 * size] : [0, 1];
    const room = 0.06 * (high - low);
    return [low >= 0 && low < 0.6 * high ? 0 : low - room, high + room];
  };
  return { whole, scales: { x: { time, distr: figure.x_axis.scale === "log" ? 3 : 1, range: (u, low, high) => [low, high] }, y: { distr: log ? 3 : 1, range } } };
}

// Puts a plot into `holder`. `extra` may have a height, hooks, and whether there is a legend.
function chart(holder, figure, extra = {}) {
  const { whole, scales } = scalesOf(figure);
  const time = figure.x_axis.scale === "time";
  const many = figure.x.length > 1000;
  const value = (u, v) => (v == null ? "–" : time ? dateText(v) : short(v));
  const width = () => Math.max(240, holder.clientWidth);
  const height = () => extra.height ?? Math.round(Math.min(320, Math.max(220, width() * 0.36)));
  const options = {
    width: width(),
    height: height(),
    tzDate: utc,
    scales,
    axes: axesOf(figure),
    series: [{ label: time ? "time" : figure.x_axis.title || "x", value }, ...figure.curves.map((curve) => seriesOf(curve, many))],
    cursor: { drag: { x: true, y: false }, points: { size: 7 }, sync: extra.sync ? { key: extra.sync, setSeries: false } : undefined },
    legend: { show: extra.legend ?? true },
    padding: [10, 24, 0, 0],
    hooks: {
      drawClear: [(u) => drawSpans(u, extra.spans?.() ?? figure.spans)],
      draw: [(u) => drawRules(u, figure.rules)],
      setScale: [(u, scale) => scale === "x" && extra.shown?.(u.scales.x.min, u.scales.x.max)],
      ...extra.hooks,
    },
  };
  const u = new uPlot(options, [figure.x, ...figure.curves.map((curve) => curve.y)], holder);
  const show = (from, to) => {
    const [min, max] = [Math.max(whole[0], from), Math.min(whole[1], to)];
    if (min !== u.scales.x.min || max !== u.scales.x.max) u.setScale("x", { min, max });
  };
  const reset = () => show(whole[0], whole[1]);
  reset();
  u.over.addEventListener("dblclick", reset);
  const resize = new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientWidth !== u.width) u.setSize({ width: width(), height: height() });
  });
  resize.observe(holder);
  const zoom = (factor) => {
    const { min, max } = u.scales.x;
    const middle = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : (min + max) / 2;
    show(middle - (middle - min) * factor, middle + (max - middle) * factor);
  };
  const move = (part) => {
    const { min, max } = u.scales.x;
    const by = Math.max(whole[0] - min, Math.min(whole[1] - max, part * (max - min)));
    show(min + by, max + by);
  };
  return { u, show, reset, zoom, move, destroy: () => { resize.disconnect(); u.destroy(); } };
}

// Buttons that do what a pointer can, and what the shade means.
function toolbar(plot, title, spans) {
  const bar = document.createElement("div");
  bar.className = "toolbar";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Zoom of the plot: " + title);
  const button = (text, name, act) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.setAttribute("aria-label", name);
    element.title = name;
    element.addEventListener("click", () => act(plot()));
    bar.append(element);
  };
  button("+", "Zoom in", (p) => p.zoom(0.5));
  button("−", "Zoom out", (p) => p.zoom(2));
  button("‹", "Earlier", (p) => p.move(-0.25));
  button("›", "Later", (p) => p.move(0.25));
  button("all", "Show all", (p) => p.reset());
  for (const [label, role] of new Map(spans.map((span) => [span.label, span.role]))) {
    const key = document.createElement("span");
    key.className = `key ${role}`;
    key.textContent = label;
    bar.append(key);
  }
  return bar;
}
