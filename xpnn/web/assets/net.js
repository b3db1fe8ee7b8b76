/* A dense network on points in the plane, as its formulas: forward, backward and one step of gradient descent.
   Arrays of numbers in arrays, double precision; xpnn in Python gives the same numbers. */
const ACTIVATIONS = {
  relu: { text: "max(z, 0)", of: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
  tanh: { text: "tanh(z)", of: Math.tanh, slope: (z, a) => 1 - a * a },
  sigmoid: { text: "1 / (1 + exp(−z))", of: (z) => 1 / (1 + Math.exp(-z)), slope: (z, a) => a * (1 - a) },
  none: { text: "z", of: (z) => z, slope: () => 1 },
};
const zeros = (rows, columns) => Array.from({ length: rows }, () => new Array(columns).fill(0));
const transposed = (A) => A[0].map((_, j) => A.map((row) => row[j]));
const product = (A, B) => A.map((row) => B[0].map((_, j) => row.reduce((sum, v, k) => sum + v * B[k][j], 0)));
const sums = (A) => A[0].map((_, j) => A.reduce((sum, row) => sum + row[j], 0));
/* Draws that a seed repeats: mulberry32, and normal ones by Box and Muller. */
function generator(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { uniform, normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()) };
}
/* sizes: [2, 4, 3] for two inputs, four hidden units, three classes. W is (inputs, units), N(0, 2 / inputs); b is 0. */
function network(sizes, activation, seed = 0) {
  const draw = generator(seed), layers = [];
  for (let i = 1; i < sizes.length; i++) {
    const std = Math.sqrt(2 / sizes[i - 1]);
    layers.push({ W: zeros(sizes[i - 1], sizes[i]).map((row) => row.map(() => std * draw.normal())), b: new Array(sizes[i]).fill(0),
      activation: i < sizes.length - 1 ? activation : "none" });
  }
  return { layers };
}
/* z = x W + b and a = f(z) of every layer, then p = softmax of the last z. x: (N, 2). */
function forward(net, x) {
  let a = x;
  const visits = net.layers.map((layer) => {
    const input = a, f = ACTIVATIONS[layer.activation];
    const z = product(input, layer.W).map((row) => row.map((v, j) => v + layer.b[j]));
    a = z.map((row) => row.map(f.of));
    return { input, z, a };
  });
  const p = a.map((row) => {
    const top = Math.max(...row), e = row.map((v) => Math.exp(v - top)), total = e.reduce((s, v) => s + v, 0);
    return e.map((v) => v / total);
  });
  return { visits, p };
}
/* The mean of -log p of the true class. */
const crossEntropy = (p, y) => -p.reduce((sum, row, n) => sum + Math.log(Math.max(row[y[n]], 1e-300)), 0) / y.length;
/* Gradients by every W and b. of: what is added for regularization, l2 W + l1 sign W. */
function backward(net, { visits, p }, y, { l1 = 0, l2 = 0 } = {}) {
  let da = p.map((row, n) => row.map((v, k) => (v - (k === y[n] ? 1 : 0)) / y.length));
  const found = [];
  for (let i = net.layers.length - 1; i >= 0; i--) {
    const layer = net.layers[i], { input, z, a } = visits[i], f = ACTIVATIONS[layer.activation];
    const dz = da.map((row, n) => row.map((v, j) => v * f.slope(z[n][j], a[n][j])));
    const dW = product(transposed(input), dz).map((row, k) => row.map((v, j) => v + l2 * layer.W[k][j] + l1 * Math.sign(layer.W[k][j])));
    found.unshift({ da, dz, dW, db: sums(dz) });
    da = product(dz, transposed(layer.W));
  }
  return found;
}
/* W <- W - rate dW, b <- b - rate db. Returns everything that was computed on the way. */
function step(net, x, y, { rate, l1 = 0, l2 = 0 }) {
  const seen = forward(net, x), gradients = backward(net, seen, y, { l1, l2 });
  const before = net.layers.map(({ W, b }) => ({ W, b }));
  net.layers.forEach((layer, i) => {
    const { dW, db } = gradients[i];
    layer.W = layer.W.map((row, k) => row.map((v, j) => v - rate * dW[k][j]));
    layer.b = layer.b.map((v, j) => v - rate * db[j]);
  });
  return { ...seen, gradients, before, loss: crossEntropy(seen.p, y) };
}
const best = (row) => row.indexOf(Math.max(...row));
function scores(net, x, y) {
  const { p } = forward(net, x);
  return { loss: crossEntropy(p, y), accuracy: p.filter((row, n) => best(row) === y[n]).length / y.length };
}
