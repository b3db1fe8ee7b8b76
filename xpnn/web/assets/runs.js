/* Trainings as they go: a stream of events brings whatever has changed; after a break it brings everything again. */
const MOST = 6, query = new URLSearchParams(location.search);
let chosen = query.getAll("run").slice(0, MOST), list = [], stream = null;
const shown = new Map();
const charts = Object.fromEntries([
  ["loss", { title: "Loss (line: validation, dashes: training)", log: true }], ["accuracy", { title: "Accuracy on the validation samples", percent: true }],
  ["rate", { title: "Learning rate", log: true }], ["gradient", { title: "Norm of the gradient", log: true }],
].map(([name, settings]) => [name, chart(byId("charts"), settings)]));
const layers = chart(byId("norms"), { title: "Norm of each gradient", log: true });

function say(text) { byId("state").textContent = text; }
function connect() {
  stream?.close();
  stream = new EventSource(`events?${new URLSearchParams(chosen.map((name) => ["run", name]))}`);
  stream.addEventListener("open", () => say("Connected: changes appear by themselves."));
  const own = stream, again = () => { own.close(); setTimeout(() => { if (own === stream) connect(); }, 1000); };
  stream.addEventListener("error", () => {
    say("No connection to the server. What is shown is the last that was heard; trying again.");
    if (own.readyState === EventSource.CLOSED) again();
  });
  stream.addEventListener("end", () => { say("The server has ended. What is shown is the last that was heard."); again(); });
  stream.addEventListener("runs", (e) => { const { runs, more } = JSON.parse(e.data); list = runs; table(more); });
  stream.addEventListener("run", (e) => { const run = JSON.parse(e.data); keep(run); });
}
function keep(run) {
  if (!chosen.length) shown.clear();
  shown.set(run.name, run);
  refresh();
}
function names() { return chosen.length ? chosen : [...shown.keys()]; }
function colourOf(name) { return `run-${Math.max(0, names().indexOf(name)) % MOST}`; }
function choose(name, wanted) {
  const before = names();
  chosen = wanted ? [...before.filter((one) => one !== name), name].slice(-MOST) : before.filter((one) => one !== name);
  for (const one of [...shown.keys()]) if (!chosen.includes(one)) shown.delete(one);
  history.replaceState(null, "", chosen.length ? `?${new URLSearchParams(chosen.map((one) => ["run", one]))}` : location.pathname);
  connect(); refresh(); marks();
}
const percentOf = (v) => v === null || v === undefined ? "–" : `${(100 * v).toFixed(2)} %`;
function cells(row, kind, texts) { row.append(...texts.map((text) => text instanceof Node ? text : element(kind, { textContent: text }))); return row; }
function table(more) {
  byId("none").hidden = list.length > 0;
  const focus = document.activeElement?.dataset?.run;
  const head = cells(element("tr"), "th", ["run", "state", "epochs", "valid loss", "valid acc", "test acc", "parameters"]);
  for (const one of head.children) one.scope = "col";
  const rows = list.map((run) => {
    const box = element("input", { type: "checkbox" }), label = element("label"), first = element("td"), state = element("td");
    box.dataset.run = run.name;
    box.addEventListener("change", () => choose(run.name, box.checked));
    label.append(box, run.name); first.append(label);
    state.append(element("span", { className: `badge ${run.state}`, textContent: run.state, title: run.error ?? "" }));
    return cells(element("tr"), "td", [first, state, `${run.epochs}${run.of ? ` of ${run.of}` : ""}`, short(run.valid_loss),
      percentOf(run.valid_accuracy), percentOf(run.test_accuracy), run.parameters?.toLocaleString("en") ?? "–"]);
  });
  byId("runs").replaceChildren(element("caption", { className: "hidden", textContent: "Runs, the newest first" }), head, ...rows);
  byId("more").textContent = more ? `${more} older runs are not listed.` : "";
  marks();
  if (focus) [...document.querySelectorAll("[data-run]")].find((one) => one.dataset.run === focus)?.focus();
}
function marks() {
  for (const box of document.querySelectorAll("[data-run]")) {
    box.checked = names().includes(box.dataset.run);
    box.className = box.checked ? colourOf(box.dataset.run) : "";
  }
  byId("follow").textContent = chosen.length ? "" : "No run is chosen: the newest one is shown, and a newer one takes its place.";
}
function curve(run, column, dashed = false) {
  const { epoch = [], [column]: y = [] } = run.curves;
  const word = { train_loss: " training", valid_loss: " validation" }[column] ?? "";
  return { name: run.name + word, colour: colourOf(run.name), dashed, x: epoch, y };
}
function refresh() {
  const runs = names().map((name) => shown.get(name)).filter(Boolean);
  charts.loss.draw(runs.flatMap((run) => [curve(run, "train_loss", true), curve(run, "valid_loss")]));
  charts.accuracy.draw(runs.map((run) => curve(run, "valid_accuracy")));
  charts.rate.draw(runs.map((run) => curve(run, "lr")));
  charts.gradient.draw(runs.filter((run) => run.record).map((run) => ({
    name: run.name, colour: colourOf(run.name), x: run.record.gradients.epoch, y: run.record.gradients.norm })));
  byId("legend").replaceChildren(...runs.flatMap((run) => [element("span", { className: `key ${colourOf(run.name)}` }),
    ` ${run.name}, ${run.state}${run.every > 1 ? `, every ${run.every} epochs` : ""}   `]));
  inside(runs.find((run) => run.record));
  compare(runs);
  marks();
}
function inside(run) {
  byId("inside").hidden = !run;
  if (!run) return;
  const { record } = run, name = (i) => run.classes?.[i] ?? `class ${i}`;
  byId("inside-of").textContent = `${run.name}, after epoch ${record.epoch}`;
  part("mistakes", record.judged ? `Of ${record.judged} held-out samples, ${record.mistakes.length || "none"}${record.mistakes.length ? " shown" : " is wrong"}.` : "No classes, or no samples held out.",
    record.mistakes.map((one) => {
      const tile = element("div", { className: "tile" }), text = `${name(one.true)}, taken for ${name(one.taken_for)} (${(100 * one.share).toFixed(0)} %)`;
      if (one.picture) {
        const canvas = canvasOf(one.picture, grey);
        canvas.setAttribute("aria-label", text); tile.append(canvas);
      }
      tile.append(text, one.numbers ? ` at ${one.numbers.map(short).join(", ")}` : "");
      return tile;
    }));
  const weights = record.weights;
  part("weights", weights ? `${weights.path}: ${weights.pictures.length} of ${weights.units} units. Orange adds, blue takes away; the largest is ${short(weights.most)}.` : "Not shown for this kind of network.",
    (weights?.pictures ?? []).map((one, i) => {
      const canvas = canvasOf(one, signed);
      canvas.setAttribute("aria-label", `Weights of unit ${i}`);
      return canvas;
    }));
  byId("dead").hidden = !record.layers.length;
  byId("dead").querySelector("ul").replaceChildren(...record.layers.map((one) => {
    const row = element("li"), bar = element("meter", { min: 0, max: one.units, value: one.dead });
    bar.setAttribute("aria-label", `Dead units of ${one.path} ${one.layer}`);
    row.append(element("span", { textContent: `${one.path} ${one.layer}` }), bar, element("span", { textContent: `${one.dead} of ${one.units}` }));
    return row;
  }));
  layers.draw(Object.entries(record.gradients.parameters).slice(0, MOST).map(([path, y], i) => ({
    name: path, colour: `run-${i}`, x: record.gradients.epoch, y })));
}
function part(id, text, tiles) {
  byId(id).querySelector("p").textContent = text;
  byId(id).querySelector(".tiles").replaceChildren(...tiles);
}
function compare(runs) {
  byId("settings").hidden = !runs.length;
  const all = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const word = (v) => v === null || v === undefined ? "–" : typeof v === "string" ? v : JSON.stringify(v);
  const rows = all.map((name) => [name, ...runs.map((run) => word(run.settings[name]))]).map(([name, ...values]) => ({ name, values, differs: new Set(values).size > 1 }));
  rows.sort((a, b) => b.differs - a.differs);
  const head = cells(element("tr"), "th", ["setting", ...runs.map((run) => run.name)]);
  for (const one of head.children) one.scope = "col";
  byId("compared").replaceChildren(head, ...rows.filter((row) => row.differs || row.values[0] !== "–").map((row) => {
    const line = cells(element("tr"), "td", [row.name, ...row.values]);
    if (row.differs) for (const cell of line.children) cell.className = "differs";
    return line;
  }));
}
connect();
