// One window, layer by layer: a slider chooses it, another the output step whose receptive field is shown.

function explorer(inside) {
  const element = (id) => document.getElementById(id);
  const [windowSlider, stepSlider] = [element("window-slider"), element("step-slider")];
  const steps = inside.fields.length;
  const channels = inside.columns.length;
  const maps = inside.maps.map((layer) => mapOf(layer));
  const signals = inside.columns.map((column) => {
    const title = document.createElement("h4");
    title.textContent = "Input and reconstruction" + (channels > 1 ? `: ${column}` : "");
    const holder = document.createElement("div");
    holder.className = "live-plot";
    element("explorer-signals").append(title, holder);
    return holder;
  });
  let plots = [];

  function mapOf(layer) {
    const figure = document.createElement("figure");
    figure.className = "map";
    const caption = document.createElement("figcaption");
    caption.textContent = `${layer.name}: ${layer.channels} units, ${layer.steps} steps; strongest colour: ${short(layer.full)}`;
    const frame = document.createElement("div");
    frame.className = "frame";
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.style.height = `${Math.max(56, layer.channels * 3.2)}px`;
    const mark = document.createElement("div");
    mark.className = "mark";
    const shade = document.createElement("div");
    shade.className = "shade";
    frame.append(shade, canvas, mark);
    figure.append(caption, frame);
    element("explorer-maps").append(figure);
    canvas.addEventListener("pointermove", (event) => {
      const [step, channel] = cellAt(canvas, event);
      const value = (bytesOf(layer)[step * layer.channels + channel] * layer.full) / 127;
      element("map-says").textContent = `${layer.name}, unit ${channel}, step ${step} of ${layer.steps}: ${short(value)}`;
    });
    return { layer, canvas, mark, shade };
  }

  const chosen = () => inside.windows[windowSlider.value];
  const bytesOf = (layer) => decode(chosen().maps[inside.maps.indexOf(layer)]);
  const errorsOf = (window) => window.input.map((x, i) => Math.abs(x - window.output[i]));
  // The values of a column; those of a window lie row by row.
  const columnOf = (values, column) => values.filter((_, i) => i % channels === column);

  function figureOf(window, curves, axis) {
    return { x_axis: { scale: "time", title: "" }, y_axis: { scale: "linear", title: axis }, x: window.x, curves, rules: [], spans: [] };
  }

  // The range of input steps that the chosen output step sees, as times.
  function field() {
    const { x } = chosen();
    const [first, end] = inside.fields[stepSlider.value];
    return first < end ? [{ from: x[first], to: x[end - 1], role: "aside" }] : [];
  }

  function rule(u) {
    const at = u.valToPos(chosen().x[stepSlider.value], "x", true);
    u.ctx.strokeStyle = property("ink");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(at, u.bbox.top);
    u.ctx.lineTo(at, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
  }

  function drawPlots() {
    for (const plot of plots) plot.destroy();
    const window = chosen();
    const curve = (name, role, y) => ({ name, role, mark: "line", y });
    const extra = { sync: "explorer", hooks: { draw: [rule] }, spans: field };
    plots = signals.map((holder, i) => {
      const curves = [curve("input", "series", columnOf(window.input, i)), curve("reconstruction", "model", columnOf(window.output, i))];
      return chart(holder, figureOf(window, curves, "std"), { ...extra, height: 230 });
    });
    const error = errorsOf(window);
    const errors = inside.columns.map((column, i) => channels > 1 ? curve(column, { layer: i % 5 }, columnOf(error, i)) : curve("|difference|", "anomaly", error));
    plots.push(chart(element("explorer-error"), figureOf(window, errors, "std"), { ...extra, height: 150 }));
  }

  function showWindow() {
    const window = chosen();
    element("window-name").textContent = window.name;
    windowSlider.setAttribute("aria-valuetext", window.name);
    const error = errorsOf(window);
    const worst = error.indexOf(Math.max(...error));
    const sorted = [...error].sort((a, b) => b - a);
    const share = sorted.slice(0, Math.ceil(error.length / 10)).reduce((a, b) => a + b, 0) / error.reduce((a, b) => a + b, 0);
    const way = window.output[worst] < window.input[worst] ? "too low" : "too high";
    element("window-says").innerHTML = `Mean absolute error <b>${window.error.toFixed(4)}</b>, ` +
      `${(window.error / inside.threshold).toFixed(2)} times the threshold: <b class="${window.verdict === "normal" ? "good" : "bad"}">${window.verdict}</b>. ` +
      `Largest error at ${dateText(window.x[Math.floor(worst / channels)]).slice(11)}: the reconstruction is ${error[worst].toFixed(2)} ${way}. ` +
      `The tenth of its values with the largest errors contributes ${Math.round(100 * share)} % of the total error.`;
    for (const { layer, canvas } of maps) {
      const bytes = bytesOf(layer);
      paintMap(canvas, bytes, layer.steps, layer.channels);
      const at = bytes.reduce((best, byte, i) => (Math.abs(byte) > Math.abs(bytes[best]) ? i : best), 0);
      canvas.setAttribute("aria-label", `${layer.name}: largest ${short((bytes[at] * layer.full) / 127)}, in unit ${at % layer.channels} at step ${Math.floor(at / layer.channels)} of ${layer.steps}`);
    }
    drawPlots();
    showStep();
  }

  function showStep() {
    const step = Number(stepSlider.value);
    const [first, end] = inside.fields[step];
    const { x } = chosen();
    const clock = (at) => dateText(x[at]).slice(11);
    const field = first < end ? `steps ${first} to ${end - 1} (${clock(first)} to ${clock(end - 1)})` : "no step";
    const text = `${step} (${clock(step)}), depends on ${field}`;
    element("step-name").textContent = text;
    stepSlider.setAttribute("aria-valuetext", text);
    for (const { mark, shade } of maps) {
      mark.style.left = `${(100 * (step + 0.5)) / steps}%`;
      shade.style.left = `${(100 * first) / steps}%`;
      shade.style.width = `${(100 * (end - first)) / steps}%`;
    }
    for (const plot of plots) plot.u.redraw(false);
  }

  windowSlider.addEventListener("input", showWindow);
  stepSlider.addEventListener("input", showStep);
  element("explorer").hidden = false;
  showWindow();
  const choose = (window) => {
    windowSlider.value = window;
    showWindow();
  };
  return { redraw: showWindow, choose };
}
