/* Weights and samples that came as bytes, as small canvases. */
function bytesOf(text) { return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)); }
function canvasOf({ form: [height, width, channels], bytes }, paint) {
  const canvas = element("canvas", { width, height }), all = bytesOf(bytes), pen = canvas.getContext("2d");
  const picture = pen.createImageData(width, height);
  for (let i = 0; i < height * width; i++) picture.data.set([...paint(all.subarray(i * channels, (i + 1) * channels)), 255], 4 * i);
  pen.putImageData(picture, 0, 0);
  canvas.setAttribute("role", "img");
  return canvas;
}
const grey = (p) => p.length === 3 ? p : [p[0], p[0], p[0]];
/* Orange above 0, blue below, dark at 0: told apart without red and green. */
function signed([byte]) {
  const v = (byte - 127.5) / 127.5, a = Math.abs(v);
  return v >= 0 ? [30 + 225 * a, 32 + 148 * a, 38 + 22 * a] : [30 + 30 * a, 32 + 108 * a, 38 + 217 * a];
}
