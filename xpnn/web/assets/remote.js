/* The server's answer for a sample; what was asked before and comes later is dropped. */
document.getElementById("where").textContent = "The answers are those of the model on the server.";
let asked = 0;
function nested(flat, shape) {
  if (!shape.length) return flat[0];
  const [size, ...rest] = shape;
  if (!rest.length) return Array.from(flat);
  const step = rest.reduce((a, b) => a * b, 1), count = size ?? flat.length / step;
  return Array.from({ length: count }, (_, i) => nested(flat.slice(i * step, (i + 1) * step), rest));
}
function remote(sample, done) {
  const parts = about.parts.length > 1;
  if (layers.length) predict(sample);
  send({ inputs: parts ? about.parts.map((shape, i) => [nested(sample[i], shape)]) : [nested(sample, about.parts[0])] }, done);
}
async function send(body, done) {
  const own = ++asked;
  let text;
  try {
    const got = await fetch("predict", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const found = await got.json();
    if (own !== asked) return;
    if (got.ok) return done((about.several ? found.outputs : (found.probabilities ?? found.outputs)[0]).flat(Infinity), found);
    text = [found.error.what, found.error.fix].filter(Boolean).join(" — ");
  } catch { text = "The server does not answer."; }
  if (own !== asked) return;
  byId("rows").replaceChildren();
  byId("best").textContent = text;
}
/* A field for each column of the table that the model was trained on; an empty one is a missing value. */
function form() {
  const fields = about.columns.map((name, i) => {
    const label = element("label", { htmlFor: `column-${i}`, textContent: name });
    const line = element("input", { type: "text", id: `column-${i}` });
    byId("input").append(label, line);
    line.addEventListener("input", ask);
    return [name, line];
  });
  function value(text) { return text === "" ? null : Number.isFinite(Number(text)) ? Number(text) : text; }
  function ask() {
    const row = Object.fromEntries(fields.map(([name, line]) => [name, value(line.value.trim())]));
    send({ rows: [row] }, (out, found) => {
      show(out);
      if (!many) { byId("best").textContent = String(found.predictions[0]); byId("rows").replaceChildren(); }
    });
  }
}
