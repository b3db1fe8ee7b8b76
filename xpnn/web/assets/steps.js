/* One step as tables: each layer's input, weights, sums and outputs, then every gradient, then the new weights. */
const ROWS = 4;
const digits = (v) => { const text = v.toFixed(4); return (Number(text) === 0 ? "0.0000" : text).replace("-", "−"); };
function arrayOf(name, rows) {
  const box = element("div", { className: "array" }), grid = element("table"), body = element("tbody");
  const size = `${rows.length} × ${rows[0].length}`;
  grid.setAttribute("aria-label", `${name}, ${size}`);
  body.append(...rows.map((row) => {
    const line = element("tr");
    line.append(...row.map((v) => element("td", { textContent: typeof v === "number" ? digits(v) : v })));
    return line;
  }));
  grid.append(body);
  box.append(element("span", { textContent: `${name}  (${size})` }), grid);
  return box;
}
function part(title, formula, arrays) {
  const box = element("div", { className: "part" }), row = element("div", { className: "arrays", tabIndex: 0, role: "group" });
  row.setAttribute("aria-label", `Numbers of ${title}`);
  row.append(...arrays);
  box.append(element("h3", { textContent: title }), element("span", { className: "formula", textContent: formula }), row);
  return box;
}
function explain({ x, y, visits, p, gradients, before, loss }) {
  const cut = (rows) => rows.slice(0, ROWS), last = net.layers.length - 1, { rate, l1, l2 } = settings();
  const rows = y.length > ROWS ? `, the first ${ROWS} of its ${y.length} points` : "";
  byId("step-text").textContent = `Step ${steps}: a batch of ${y.length}${rows}. Loss before it ${loss.toFixed(4)}.`;
  const added = l2 ? ` + ${l2} W` : l1 ? ` + ${l1} sign W` : "";
  const there = visits.map(({ input, z, a }, i) => part(`Layer ${i + 1}, forward`,
    `z = ${i ? "a" : "x"} W + b${i < last ? `,  a = ${ACTIVATIONS[net.layers[i].activation].text}` : ""}`,
    [arrayOf(i ? "input a" : "x", cut(input)), arrayOf("W", before[i].W), arrayOf("b", [before[i].b]), arrayOf("z", cut(z)), ...(i < last ? [arrayOf("a", cut(a))] : [])]));
  const middle = part("Loss", "p = exp z / sum exp z,  loss = mean of −log p of the true class", [
    arrayOf("p", cut(p)), arrayOf("true class", cut(y).map((v) => [String(v)])), arrayOf("−log p", cut(p).map((row, n) => [-Math.log(Math.max(row[y[n]], 1e-300))]))]);
  const back = gradients.map(({ da, dz, dW, db }, i) => part(`Layer ${i + 1}, backward`,
    `${i < last ? "dz = da f'(z)" : `dz = (p − 1 at the true class) / ${y.length}`},  dW = inputᵀ dz${added},  db = sum of dz;  W ← W − ${rate} dW,  b ← b − ${rate} db`,
    [...(i < last ? [arrayOf("da", cut(da))] : []), arrayOf("dz", cut(dz)), arrayOf("dW", dW), arrayOf("db", [db]), arrayOf("new W", net.layers[i].W), arrayOf("new b", [net.layers[i].b])]));
  byId("step").replaceChildren(...there, middle, ...back.reverse());
}
noted(); other();
