// Heat maps: a pixel for each value, stretched over the width; the stronger, the larger. How opaque a pixel is
// grows with the root of its value, so that small ones show.

const decode = (base64) => Int8Array.from(atob(base64), (c) => c.charCodeAt(0));

// Draws signed bytes of a signal (steps, channels), row by row, with steps across and channels down.
function paintMap(canvas, bytes, steps, channels) {
  canvas.width = steps;
  canvas.height = channels;
  const rgb = (name) => [1, 3, 5].map((at) => parseInt(property(name).slice(at, at + 2), 16));
  const [positive, negative] = [rgb("series"), rgb("model")];
  const context = canvas.getContext("2d");
  const image = context.createImageData(steps, channels);
  for (let step = 0; step < steps; step++) {
    for (let channel = 0; channel < channels; channel++) {
      const byte = bytes[step * channels + channel];
      const colour = byte < 0 ? negative : positive;
      image.data.set([...colour, 255 * Math.sqrt(Math.abs(byte) / 127)], 4 * (channel * steps + step));
    }
  }
  context.putImageData(image, 0, 0);
}

// The step and the channel below a pointer.
function cellAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const within = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
  return [
    within((event.clientX - box.left) / box.width, canvas.width),
    within((event.clientY - box.top) / box.height, canvas.height),
  ];
}
