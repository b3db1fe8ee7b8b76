/* Grey levels (height x width, light ink on 0) to the form of MNIST's images: cropped to the ink, its longer side 20
   pixels, centred by mass in 28 x 28. */
function cropped(grey, height, width) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) if (grey[i * width + j] > 25) {
    top = Math.min(top, i); bottom = Math.max(bottom, i); left = Math.min(left, j); right = Math.max(right, j);
  }
  const out = new Float32Array(28 * 28);
  if (bottom < 0) return out;
  const h = bottom - top + 1, w = right - left + 1, scale = 20 / Math.max(h, w);
  const rows = Math.max(1, Math.round(h * scale)), columns = Math.max(1, Math.round(w * scale));
  const small = new Float32Array(rows * columns);
  let mass = 0, down = 0, across = 0;
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    const box = [top + i * h / rows, top + (i + 1) * h / rows, left + j * w / columns, left + (j + 1) * w / columns];
    const v = mean(grey, width, ...box);
    small[i * columns + j] = v; mass += v; down += v * (i + .5); across += v * (j + .5);
  }
  const y = Math.round(14 - down / mass), x = Math.round(14 - across / mass);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    const a = i + y, b = j + x;
    if (a >= 0 && a < 28 && b >= 0 && b < 28) out[a * 28 + b] = Math.round(small[i * columns + j]);
  }
  return out;
}
/* The mean of a box of pixels, those at its edges in part. */
function mean(a, width, top, bottom, left, right) {
  let sum = 0, total = 0;
  for (let i = Math.floor(top); i < bottom; i++) for (let j = Math.floor(left); j < right; j++) {
    const share = (Math.min(i + 1, bottom) - Math.max(i, top)) * (Math.min(j + 1, right) - Math.max(j, left));
    sum += share * a[i * width + j]; total += share;
  }
  return sum / total;
}
/* A square picture as RGBA to one sample of the model: what the network sees. */
function sampleOf(rgba, side) {
  const [height, width, channels] = about.shape, sample = new Float32Array(height * width * channels);
  const planes = [0, 1, 2].map((c) => Float32Array.from({ length: side * side }, (_, i) => rgba[4 * i + c]));
  const grey = planes[0].map((r, i) => .299 * r + .587 * planes[1][i] + .114 * planes[2][i]);
  if (about.crop === "ink" && height === 28 && width === 28 && channels === 1) {
    let total = 0;
    grey.forEach((v) => { total += v; });
    sample.set(cropped(total > 127 * grey.length ? grey.map((v) => 255 - v) : grey, side, side));
    return sample;
  }
  for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) for (let c = 0; c < channels; c++) {
    const box = [i * side / height, (i + 1) * side / height, j * side / width, (j + 1) * side / width];
    sample[(i * width + j) * channels + c] = Math.round(mean(channels === 3 ? planes[c] : grey, side, ...box));
  }
  return sample;
}
