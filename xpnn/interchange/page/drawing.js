/* A square to draw on, and beside it what the network sees: changed(sample) is called with every stroke. */
const SIDE = 280;
function drawing(place, changed) {
  const [height, width, channels] = about.shape;
  const pad = element("canvas", { id: "pad", width: SIDE, height: SIDE, role: "img", tabIndex: 0 });
  const seen = element("canvas", { id: "seen", width, height, role: "img" });
  const pen = pad.getContext("2d", { willReadFrequently: true });
  const undo = element("button", { textContent: "Undo", disabled: true }), clear = element("button", { textContent: "Clear" });
  const brush = element("input", { type: "range", min: 8, max: 40, value: 20, id: "brush" });
  const file = element("input", { type: "file", accept: "image/*", id: "file" });
  const choose = element("label", { className: "file", textContent: "Open a picture" });
  const size = element("label", { textContent: "Brush " }), before = [];
  let sample = new Float32Array(height * width * channels), waiting = false;
  pad.setAttribute("aria-label", "Draw here with mouse or finger, or drop a picture");
  seen.setAttribute("aria-label", `What the network sees: ${width} by ${height} pixels`);
  choose.append(file); size.append(brush);
  pen.lineCap = pen.lineJoin = "round"; pen.strokeStyle = "#fff";
  empty();

  function empty() { pen.fillStyle = "#000"; pen.fillRect(0, 0, SIDE, SIDE); }
  function keep() { before.push(pen.getImageData(0, 0, SIDE, SIDE)); if (before.length > 50) before.shift(); undo.disabled = false; }
  function back() {
    if (before.length) pen.putImageData(before.pop(), 0, 0);
    undo.disabled = !before.length;
    look();
  }
  function look() {
    sample = sampleOf(pen.getImageData(0, 0, SIDE, SIDE).data, SIDE);
    refresh();
  }
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; look(); });
  }
  function refresh() {
    paintPicture(seen, sample);
    changed(sample.some((v) => v) ? sample : null);
  }
  function paintPicture(canvas, pixels) {
    const surface = canvas.getContext("2d"), picture = surface.createImageData(width, height);
    for (let i = 0; i < height * width; i++) for (let c = 0; c < 4; c++)
      picture.data[4 * i + c] = c === 3 ? 255 : pixels[i * channels + (channels === 3 ? c : 0)];
    surface.putImageData(picture, 0, 0);
  }
  function at(e, canvas, n) {
    const box = canvas.getBoundingClientRect();
    return [(e.clientX - box.left) * n / box.width, (e.clientY - box.top) * canvas.height / box.height];
  }
  function strokes(canvas, start, move, end) {
    let down = false;
    canvas.addEventListener("pointerdown", (e) => { down = true; canvas.setPointerCapture(e.pointerId); start(e); move(e); });
    canvas.addEventListener("pointermove", (e) => { if (down) move(e); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { if (down) end(); down = false; });
  }
  strokes(pad, (e) => { keep(); pen.lineWidth = Number(brush.value); pen.beginPath(); pen.moveTo(...at(e, pad, SIDE)); },
    (e) => { pen.lineTo(...at(e, pad, SIDE)); pen.stroke(); soon(); }, look);
  strokes(seen, () => {}, (e) => {
    const [x, y] = at(e, seen, width).map(Math.floor);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    sample.fill(0, (y * width + x) * channels, (y * width + x + 1) * channels);
    refresh();
  }, () => {});
  async function show(picture) {
    try {
      const image = await createImageBitmap(picture), scale = Math.max(SIDE / image.width, SIDE / image.height);
      keep(); empty();
      pen.drawImage(image, (SIDE - image.width * scale) / 2, (SIDE - image.height * scale) / 2, image.width * scale, image.height * scale);
      look();
    } catch { document.getElementById("best").textContent = "This is no picture."; }
  }
  pad.addEventListener("dragover", (e) => { e.preventDefault(); pad.classList.add("over"); });
  pad.addEventListener("dragleave", () => pad.classList.remove("over"));
  pad.addEventListener("drop", (e) => { e.preventDefault(); pad.classList.remove("over"); if (e.dataTransfer.files[0]) show(e.dataTransfer.files[0]); });
  document.addEventListener("paste", (e) => { const [one] = e.clipboardData.files; if (one) show(one); });
  document.addEventListener("keydown", (e) => { if ((e.ctrlKey || e.metaKey) && e.key === "z") { e.preventDefault(); back(); } });
  file.addEventListener("change", () => { if (file.files[0]) show(file.files[0]); file.value = ""; });
  undo.addEventListener("click", back);
  clear.addEventListener("click", () => { keep(); empty(); look(); });
  const tools = element("div", { className: "tools" }), below = element("div", { className: "small" }), hint = element("p", { className: "hint" });
  hint.textContent = `What the network sees, ${width} × ${height} pixels. Drag over it to put pixels out, and watch the answer.`;
  tools.append(undo, clear, size, choose); below.append(seen, hint);
  const examples = element("div", { id: "examples" });
  about.examples.forEach((text, i) => {
    const pixels = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), button = element("button"), view = element("canvas", { width, height });
    button.setAttribute("aria-label", `Example ${i + 1}`);
    button.addEventListener("click", () => { sample = Float32Array.from(pixels); refresh(); });
    button.append(view); examples.append(button);
    paintPicture(view, pixels);
  });
  place.append(element("p", { className: "hint", textContent: "Draw with mouse or finger, or drop a picture." }), pad, tools, below);
  if (about.examples.length) place.append(examples);
  look();
}
