/* The values of every layer, as tiles: a picture for each channel, a square for each number. */
const GAP = 1, WIDEST = 616;
/* A number alone is a square of 6 pixels. */
function tiles(layer) {
  const alone = layer.form[0] * layer.form[1] === 1, block = alone ? 6 : 1;
  const height = layer.form[0] * block, width = layer.form[1] * block, count = layer.form[2];
  const columns = Math.min(count, alone ? 32 : 16, Math.max(1, Math.floor(WIDEST / (width + GAP))));
  return { height, width, count, columns, rows: Math.ceil(count / columns), block };
}
function paint(canvas, layer, values) {
  const { height, width, count, columns, rows, block } = tiles(layer), pen = canvas.getContext("2d");
  canvas.width = columns * (width + GAP) - GAP; canvas.height = rows * (height + GAP) - GAP;
  const picture = pen.createImageData(canvas.width, canvas.height), [h, w] = layer.form;
  let most = 1e-12;
  values.forEach((v) => { most = Math.max(most, Math.abs(v)); });
  for (let k = 0; k < count; k++) for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) {
    const y = Math.floor(i / block), x = Math.floor(j / block);
    const v = values[layer.first ? (k * h + y) * w + x : (y * w + x) * count + k] / most;
    const at = 4 * ((Math.floor(k / columns) * (height + GAP) + i) * canvas.width + k % columns * (width + GAP) + j);
    picture.data.set(colour(v), at);
  }
  pen.putImageData(picture, 0, 0);
}
/* Orange above 0, blue below, dark at 0: told apart without red and green. */
function colour(v) {
  const a = Math.min(1, Math.abs(v));
  return v >= 0 ? [30 + 225 * a, 32 + 148 * a, 38 + 22 * a, 255] : [30 + 30 * a, 32 + 108 * a, 38 + 217 * a, 255];
}
function inside(place) {
  const shown = layers.map((layer) => {
    const box = element("div", { className: "layer" }), title = element("h3"), canvas = element("canvas");
    const button = element("button"), unit = element("div", { className: "unit", hidden: true });
    const { width, columns } = tiles(layer), scale = Math.max(1, Math.min(4, Math.floor(WIDEST / (columns * (width + GAP)))));
    title.textContent = `${layer.name} — ${layer.shape.join(" × ")}`;
    button.setAttribute("aria-label", `Values of ${layer.name}; choose a unit to look at it`);
    button.append(canvas); box.append(title, button, unit); place.append(box);
    let chosen = -1;
    button.addEventListener("click", (e) => {
      const view = tiles(layer), area = canvas.getBoundingClientRect(), keyboard = e.detail === 0;
      const x = Math.floor((e.clientX - area.left) / area.width * view.columns), y = Math.floor((e.clientY - area.top) / area.height * view.rows);
      chosen = keyboard ? (chosen + 1) % view.count : Math.min(view.count - 1, y * view.columns + x);
      look();
    });
    function look() {
      if (chosen < 0) return;
      const [height, width, count] = layer.form, values = [];
      for (let i = 0; i < height * width; i++) values.push(layer.values[layer.first ? chosen * height * width + i : i * count + chosen]);
      const text = element("span"), most = Math.max(...values);
      text.textContent = `Unit ${chosen}: ${values.length > 1 ? `largest value ${most.toPrecision(3)}` : most.toPrecision(3)}`;
      unit.replaceChildren(text); unit.hidden = false;
      if (layer.weights) {
        const picture = element("canvas", { role: "img" }), { form, values: all, count: n, kernel } = layer.weights;
        picture.setAttribute("aria-label", `The weights of unit ${chosen}`);
        const own = Float32Array.from({ length: form[0] * form[1] * form[2] }, (_, i) => kernel ? all[chosen * form[0] * form[1] * form[2] + i] : all[i * n + chosen]);
        paint(picture, { form, first: kernel }, own);
        unit.prepend(picture); text.textContent += ". Its weights: orange adds, blue takes away.";
      }
    }
    return () => {
      paint(canvas, layer, layer.values);
      canvas.style.width = `${canvas.width * scale}px`;
      look();
    };
  });
  return () => shown.forEach((one) => one());
}
