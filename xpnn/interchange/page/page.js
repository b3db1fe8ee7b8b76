function element(kind, settings = {}) { return Object.assign(document.createElement(kind), settings); }
const byId = (id) => document.getElementById(id);
const many = about.outputs > 1 && about.probabilities, fixed = about.outputs <= 12;
byId("what").textContent = about.text;
/* Each output with its name: in their order where they are few, else the ten largest. */
function named(out) {
  const rows = Array.from(out, (value, i) => ({ name: about.classes[i] ?? String(i), value }));
  return many && !fixed ? rows.sort((a, b) => b.value - a.value).slice(0, 10) : rows.slice(0, 100);
}
function show(out) {
  const rows = named(out), best = rows.reduce((a, b) => (b.value > a.value ? b : a));
  byId("best").textContent = many ? `${best.name} — ${(100 * best.value).toFixed(1)} %` : "";
  byId("rows").replaceChildren(...rows.map((one) => {
    const row = element("li"), name = element("span", { className: "name", textContent: one.name, title: one.name });
    const track = element("span", { className: "track" }), bar = element("span", { className: "bar" });
    const share = about.probabilities ? Math.max(0, Math.min(1, one.value)) : 0;
    const number = about.probabilities ? `${(100 * one.value).toFixed(1)} %` : one.value.toPrecision(5);
    row.className = many && one === best ? "best" : "";
    bar.style.cssText = `display:block;width:${100 * share}%`; track.append(bar);
    row.append(name, about.probabilities ? track : element("span"), element("span", { className: "number", textContent: number }));
    return row;
  }));
}
/* done(outputs) at once; a page that is served defines `remote`, which asks the server. */
const ask = typeof remote === "function" ? remote : (sample, done) => done(predict(sample));
const refreshInside = layers.length ? inside(byId("layers")) : () => {};
/* null: nothing is drawn yet. */
function answer(sample) {
  if (sample === null) {
    byId("best").textContent = "Draw something";
    byId("rows").replaceChildren();
  } else ask(sample, show);
  byId("inside").hidden = sample === null || !layers.length;
  if (sample === null || !layers.length) return;
  refreshInside();
}
/* A line of numbers for each input; a size that is open (null) takes any count of whole rows. */
function typing() {
  const parts = about.parts ?? [about.shape], lines = parts.map((shape, i) => {
    const row = shape.reduce((a, b) => a * (b ?? 1), 1), open = shape.includes(null);
    const line = element("input", { type: "text", id: i ? `numbers-${i + 1}` : "numbers" });
    const label = element("label", { htmlFor: line.id }), which = parts.length > 1 ? `Input ${i + 1}: ` : "";
    label.textContent = `${which}${open ? `${row}, ${2 * row}, ${3 * row}, ... ` : `${row} `}numbers, with blanks or commas between`;
    byId("input").append(label, line);
    return { line, read() {
      const numbers = line.value.split(/[\s,;]+/).filter(Boolean).map(Number), count = numbers.length;
      const whole = open ? count > 0 && count % row === 0 : count === row;
      return { numbers: whole && numbers.every(Number.isFinite) ? numbers : null, text: `${count} of ${row} numbers` };
    } };
  });
  for (const one of lines) one.line.addEventListener("input", () => {
    const found = lines.map((each) => each.read()), missing = found.find((each) => !each.numbers);
    if (missing) byId("best").textContent = missing.text;
    else answer(parts.length > 1 ? found.map((each) => each.numbers) : (about.server ? Float64Array : Float32Array).from(found[0].numbers));
  });
}
if (about.columns) form(); else if (about.shape.length === 3 && !about.shape.includes(null)) drawing(byId("input"), answer); else typing();
