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
const refreshInside = layers.length ? inside(byId("layers")) : () => {};
/* null: nothing is drawn yet. */
function answer(sample) {
  if (sample === null) {
    byId("best").textContent = "Draw something";
    byId("rows").replaceChildren();
  } else show(predict(sample));
  byId("inside").hidden = sample === null || !layers.length;
  if (sample === null) return;
  refreshInside();
}
function typing() {
  const count = about.shape.reduce((a, b) => a * b, 1), line = element("input", { type: "text", id: "numbers" });
  const label = element("label", { htmlFor: "numbers", textContent: `${count} numbers, with blanks or commas between` });
  line.addEventListener("input", () => {
    const numbers = line.value.split(/[\s,;]+/).filter(Boolean).map(Number);
    if (numbers.length === count && numbers.every(Number.isFinite)) answer(Float32Array.from(numbers));
    else byId("best").textContent = `${numbers.length} of ${count} numbers`;
  });
  byId("input").append(label, line);
}
if (about.shape.length === 3) drawing(byId("input"), answer); else typing();
