/* The controls, the training loop, and the pictures. */
const GRID = 40, UNIT = 20, EDGE = 1.2;
const COLOURS = [[47, 111, 192], [214, 118, 26], [44, 150, 96]];
let seed = 1, net = null, data = null, order = [], at = 0, steps = 0, running = false, chosen = null, past = [];
const value = (id) => byId(id).value, number = (id) => Number(value(id));
const curve = chart(byId("curve"), { title: "Loss (line: training, dashes: test)", log: true });
const plane = byId("plane");
function settings() {
  const strength = number("strength"), penalty = value("penalty");
  return { rate: number("rate"), l1: penalty === "l1" ? strength : 0, l2: penalty === "l2" ? strength : 0 };
}
function whole(id) {
  const field = byId(id), v = Math.round(Number(field.value));
  return Math.max(Number(field.min), Math.min(Number(field.max), Number.isFinite(v) ? v : Number(field.min)));
}
/* Points over the plane, the same for all pictures of one size. */
function lattice(side) {
  return Array.from({ length: side * side }, (_, i) => [((i % side) + .5) / side * 2 * EDGE - EDGE, EDGE - (Math.floor(i / side) + .5) / side * 2 * EDGE]);
}
const WIDE = lattice(GRID), SMALL = lattice(UNIT);
function fresh() {
  const sizes = [2, ...Array.from({ length: whole("depth") }, () => whole("width")), data.classes];
  net = network(sizes, value("activation"), seed);
  order = []; at = steps = 0; past = []; chosen = null;
  byId("step").replaceChildren();
  byId("step-text").textContent = "Press One step. A batch of 1 can be followed on paper.";
  columns();
  show();
}
function other() { data = points(value("set"), 100, number("noise"), seed); fresh(); }
function batch() {
  const count = data.train.y.length, size = number("batch") || count;
  if (at >= order.length) { order = Array.from({ length: count }, (_, i) => i); shuffle(order, generator(seed + steps)); at = 0; }
  const rows = order.slice(at, at + size);
  at += size;
  return { x: rows.map((i) => data.train.x[i]), y: rows.map((i) => data.train.y[i]) };
}
function advance() {
  const { x, y } = batch(), found = step(net, x, y, settings());
  steps++;
  return { ...found, x, y };
}
function epoch() { do advance(); while (at < order.length); }
function epochs() { return steps * (number("batch") || data.train.y.length) / data.train.y.length; }
function show() {
  const train = scores(net, data.train.x, data.train.y), test = scores(net, data.test.x, data.test.y), now = epochs();
  if (!past.length || past.at(-1).now !== now) past.push({ now, train: train.loss, test: test.loss });
  if (past.length > 400) past = past.filter((_, i) => i % 2 === 0);
  const percent = (v) => `${(100 * v).toFixed(0)} %`;
  byId("epoch").textContent = short(now);
  byId("loss").textContent = train.loss.toFixed(4); byId("test-loss").textContent = test.loss.toFixed(4);
  byId("accuracy").textContent = percent(train.accuracy); byId("test-accuracy").textContent = percent(test.accuracy);
  plane.setAttribute("aria-label", `${value("set")}: ${data.classes} classes, ${percent(test.accuracy)} of the test points on the right side`);
  const x = past.map((one) => one.now);
  curve.draw([{ name: "training", colour: "run-0", x, y: past.map((one) => one.train) }, { name: "test", colour: "run-1", dashed: true, x, y: past.map((one) => one.test) }]);
  units(); boundary();
}
const signedColour = (v) => { const a = Math.min(1, Math.abs(v)); return v >= 0 ? [30 + 225 * a, 32 + 148 * a, 38 + 22 * a] : [30 + 30 * a, 32 + 108 * a, 38 + 217 * a]; };
function paint(canvas, side, colours) {
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d"), picture = pen.createImageData(side, side);
  colours.forEach((colour, i) => picture.data.set([...colour, 255], 4 * i));
  pen.putImageData(picture, 0, 0);
}
/* The plane in the colours of the classes, or of one unit; on it the points, those of the test with a ring. */
function boundary() {
  const { visits, p } = forward(net, WIDE), small = element("canvas"), pen = plane.getContext("2d");
  const mixed = (row) => [0, 1, 2].map((c) => row.reduce((sum, v, k) => sum + v * (.55 * COLOURS[k][c] + .45 * 255), 0));
  if (chosen) { const top = largest(visits[chosen.layer].a, chosen.unit); paint(small, GRID, visits[chosen.layer].a.map((row) => signedColour(row[chosen.unit] / top))); }
  else paint(small, GRID, p.map(mixed));
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, 0, 0, plane.width, plane.height);
  const place = (v, flip) => (EDGE + (flip ? -v : v)) / (2 * EDGE) * plane.width;
  for (const [part, ring] of [[data.test, true], [data.train, false]]) part.x.forEach(([a, b], i) => {
    pen.beginPath(); pen.arc(place(a), place(b, true), 3, 0, 2 * Math.PI);
    pen.fillStyle = `rgb(${COLOURS[part.y[i]]})`; pen.strokeStyle = ring ? "#111" : "#fff"; pen.lineWidth = 1;
    pen.fill(); pen.stroke();
  });
  byId("plane-text").textContent = chosen ? `Shown is unit ${chosen.unit + 1} of layer ${chosen.layer + 1}; choose it again for the classes.` : "The colour is the class that the network answers. White rings: points it learns from; dark rings: test.";
}
const largest = (rows, j) => Math.max(1e-9, ...rows.map((row) => Math.abs(row[j])));
let views = [];
function columns() {
  const place = byId("net"), lines = shape("svg", { "aria-hidden": "true" });
  const named = (i) => i === 0 ? "input" : i === net.layers.length ? "classes" : `layer ${i}`;
  const counts = [2, ...net.layers.map((layer) => layer.b.length)];
  views = counts.map((count, i) => Array.from({ length: count }, (_, j) => {
    const canvas = element("canvas"), button = element("button");
    button.setAttribute("aria-label", i === 0 ? `Input x${j + 1}` : i < net.layers.length ? `Unit ${j + 1} of layer ${i}` : `Class ${j}`);
    if (i > 0) { button.setAttribute("aria-pressed", "false"); button.addEventListener("click", () => choose(i - 1, j)); } else button.disabled = true;
    button.append(canvas);
    return { canvas, button };
  }));
  place.replaceChildren(lines, ...views.map((column, i) => {
    const box = element("div", { className: "column" });
    box.append(element("h3", { textContent: named(i) }), ...column.map((one) => one.button));
    return box;
  }));
}
function choose(layer, unit) {
  chosen = chosen && chosen.layer === layer && chosen.unit === unit ? null : { layer, unit };
  views.forEach((column, i) => column.forEach((one, j) => { if (i) one.button.setAttribute("aria-pressed", String(Boolean(chosen && chosen.layer === i - 1 && chosen.unit === j))); }));
  units(); boundary();
}
function units() {
  const { visits } = forward(net, SMALL);
  views.forEach((column, i) => column.forEach(({ canvas }, j) => {
    const rows = i ? visits[i - 1].a : SMALL, top = largest(rows, j);
    paint(canvas, UNIT, rows.map((row) => signedColour(row[j] / top)));
  }));
  connect();
  if (!chosen) { byId("unit-text").textContent = "Orange is above 0, blue below. Choose a unit to see it large, with its weights."; return; }
  const { W, b } = net.layers[chosen.layer], terms = W.map((row, k) => `${row[chosen.unit].toFixed(3)} · ${chosen.layer ? "a" : "x"}${k + 1}`);
  byId("unit-text").textContent = `z = ${terms.join(" + ")} + ${b[chosen.unit].toFixed(3)}`.replaceAll("+ -", "− ").replaceAll("-", "−");
}
/* A line for each weight, thicker the larger it is. */
function connect() {
  const place = byId("net"), lines = place.querySelector("svg"), area = place.getBoundingClientRect(), all = [];
  lines.setAttribute("viewBox", `0 0 ${area.width} ${area.height}`);
  net.layers.forEach(({ W }, i) => W.forEach((row, k) => row.forEach((w, j) => {
    const from = views[i][k].button.getBoundingClientRect(), to = views[i + 1][j].button.getBoundingClientRect();
    all.push(shape("line", { class: w >= 0 ? "above" : "below", "stroke-width": Math.min(6, .3 + 2 * Math.abs(w)).toFixed(2), "stroke-opacity": .6,
      x1: from.right - area.left, y1: (from.top + from.bottom) / 2 - area.top, x2: to.left - area.left, y2: (to.top + to.bottom) / 2 - area.top }));
  })));
  lines.replaceChildren(...all);
}
function run(wanted) {
  running = wanted;
  byId("run").textContent = running ? "Pause" : "Train";
  if (running) requestAnimationFrame(frame);
}
function frame() {
  if (!running) return;
  const began = performance.now();
  do epoch(); while (performance.now() - began < 12);
  show();
  requestAnimationFrame(frame);
}
byId("run").addEventListener("click", () => run(!running));
byId("one").addEventListener("click", () => { run(false); const found = advance(); show(); explain(found); });
byId("again").addEventListener("click", () => { run(false); seed++; fresh(); });
byId("other").addEventListener("click", () => { run(false); seed++; other(); });
for (const id of ["set", "noise"]) byId(id).addEventListener("input", () => { noted(); run(false); other(); });
for (const id of ["depth", "width", "activation"]) byId(id).addEventListener("change", () => { run(false); if (id !== "activation") byId(id).value = whole(id); fresh(); });
byId("batch").addEventListener("change", () => { order = []; at = steps = 0; past = []; show(); });
addEventListener("resize", connect);
function noted() { byId("noise-text").textContent = number("noise").toFixed(2); }
