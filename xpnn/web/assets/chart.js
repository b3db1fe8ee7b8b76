/* Curves over steps or epochs, as SVG: drawn again with every change, read by mouse or by the arrow keys. */
const SVG = "http://www.w3.org/2000/svg";
function element(kind, settings = {}) { return Object.assign(document.createElement(kind), settings); }
const byId = (id) => document.getElementById(id);
function shape(kind, settings = {}, text = "") {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(settings)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}
function short(v) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? v.toExponential(1) : String(Number(v.toPrecision(4)));
}
/* Round numbers from low to high, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough), found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) found.push(Number(v.toPrecision(12)));
  return found;
}
/* Of a logarithmic axis: 1, 2 and 5 of each power of ten, or some of the powers where there are many. */
function powers(low, high) {
  const first = Math.floor(low), last = Math.ceil(high), found = [], every = Math.ceil((last - first) / 6);
  for (let power = first; power <= last; power++) for (const n of last - first <= 2 ? [1, 2, 5] : [1])
    if (power % every === 0 && Math.log10(n) + power >= low && Math.log10(n) + power <= high) found.push(n * 10 ** power);
  return found.length > 1 ? found : ticks(10 ** low, 10 ** high, 3).filter((v) => v > 0);
}
/* settings: title, log (of y), percent. The result has draw(series); each {name, colour, dashed, x: [], y: []}. */
function chart(place, { title, log = false, percent = false, width = 460, height = 220, along = "epoch" }) {
  const box = element("figure", { className: "chart" }), caption = element("figcaption", { textContent: title });
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0 }), said = element("p", { className: "said" });
  said.setAttribute("aria-live", "polite");
  box.append(caption, svg, said); place.append(box);
  const [left, right, top, bottom] = [48, 10, 8, 24];
  const word = (v) => v !== null && v !== undefined && percent ? `${short(100 * v)} %` : short(v);
  let all = [], at = null, scale = null;
  function good(v) { return v !== null && Number.isFinite(v) && (!log || v > 0); }
  function limits(values, wide) {
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (log) { low = Math.log10(low); high = Math.log10(high); }
    if (high - low < 1e-9) { const more = wide ? Math.max(.1, Math.abs(high) * .1) : 1; low -= more; high += more; }
    const margin = wide ? .05 * (high - low) : 0;
    return [low - margin, high + margin];
  }
  function draw(series) {
    all = series.map((one) => ({ ...one, points: one.x.map((x, i) => [x, one.y[i]]).filter(([, y]) => good(y)) })).filter((one) => one.points.length);
    svg.replaceChildren();
    box.hidden = !all.length;
    if (!all.length) return;
    const xs = all.flatMap((one) => one.points.map(([x]) => x)), ys = all.flatMap((one) => one.points.map(([, y]) => y));
    const x = [Math.min(...xs), Math.max(...xs)], y = limits(ys, true);
    if (x[0] === x[1]) { x[0] -= .5; x[1] += .5; }
    const across = (v) => left + (v - x[0]) / (x[1] - x[0]) * (width - left - right);
    const down = (v) => height - bottom - ((log ? Math.log10(v) : v) - y[0]) / (y[1] - y[0]) * (height - top - bottom);
    scale = { x, across, down };
    for (const real of log ? powers(...y) : ticks(y[0], y[1], 4)) {
      const where = down(real);
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: where, y2: where }),
        shape("text", { x: left - 6, y: where + 4, "text-anchor": "end" }, word(real)));
    }
    for (const v of ticks(x[0], x[1], 5)) if (Number.isInteger(v))
      svg.append(shape("text", { x: across(v), y: height - 6, "text-anchor": "middle" }, String(v)));
    for (const one of all) {
      const path = one.points.map(([a, b], i) => `${i ? "L" : "M"}${across(a).toFixed(1)} ${down(b).toFixed(1)}`).join("");
      svg.append(shape("path", { class: `curve ${one.colour}${one.dashed ? " dashed" : ""}`, d: path }));
      if (one.points.length === 1) svg.append(shape("circle", { class: `dot ${one.colour}`, cx: across(one.points[0][0]), cy: down(one.points[0][1]), r: 3 }));
    }
    const latest = all.map((one) => `${one.name} ${word(one.points.at(-1)[1])}`).join(", ");
    svg.setAttribute("aria-label", `${title}: ${latest}. The arrow keys read it.`);
    if (at !== null) read(at); else said.replaceChildren();
  }
  function nearest(one, x) { return one.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a); }
  function read(x) {
    if (!all.length) return;
    at = Math.max(scale.x[0], Math.min(scale.x[1], x));
    const found = nearest(all[0], at)[0];
    svg.querySelector(".cursor")?.remove();
    svg.append(shape("line", { class: "cursor", x1: scale.across(found), x2: scale.across(found), y1: top, y2: height - bottom }));
    said.replaceChildren(`${along} ${short(found)}: `, ...all.flatMap((one, i) => {
      const mark = element("span", { className: `key ${one.colour}${one.dashed ? " dashed" : ""}` });
      return [i ? ", " : "", mark, ` ${one.name} ${word(nearest(one, found)[1])}`];
    }));
  }
  function leave() { at = null; svg.querySelector(".cursor")?.remove(); said.replaceChildren(); }
  svg.addEventListener("pointermove", (e) => {
    const area = svg.getBoundingClientRect();
    if (scale) read(scale.x[0] + ((e.clientX - area.left) / area.width * width - left) / (width - left - right) * (scale.x[1] - scale.x[0]));
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step || !all.length) return;
    e.preventDefault();
    const xs = all[0].points.map(([x]) => x), now = at === null ? (step > 0 ? -1 : xs.length) : xs.indexOf(nearest(all[0], at)[0]);
    read(xs[Math.max(0, Math.min(xs.length - 1, now + step))]);
  });
  return { draw, box };
}
