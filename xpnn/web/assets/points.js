/* Points in the plane, from -1 to 1, class by class. noise: of the angle for the spiral, else of each coordinate. */
const SETS = {
  spiral: { classes: 3, at: (k, t, n) => turned(t, 2 * Math.PI * k / 3 + 4 * t + n[0]) },
  circles: { classes: 2, at: (k, t, n) => shifted(turned(.4 + .5 * k, 2 * Math.PI * t), n) },
  moons: { classes: 2, at: (k, t, n) => {
    const [c, s] = [Math.cos(Math.PI * t), Math.sin(Math.PI * t)];
    return shifted(k ? [(.5 - c) / 1.6, (.25 - s) / 1.6] : [(c - .5) / 1.6, (s - .25) / 1.6], n);
  } },
  xor: { classes: 2, at: (k, t, n, draw) => {
    const side = draw() < .5 ? 1 : -1, [u, v] = [.1 + .75 * draw(), .1 + .75 * draw()];
    return shifted([side * u, (k ? -side : side) * v], n);
  } },
};
const turned = (r, angle) => [r * Math.sin(angle), r * Math.cos(angle)];
const shifted = ([a, b], [n, m]) => [a + n, b + m];
/* {x: (N, 2), y: (N)} in random order; every second one is held out as a test. */
function points(name, count, noise, seed) {
  const set = SETS[name], draw = generator(seed), all = [];
  for (let k = 0; k < set.classes; k++) for (let i = 0; i < count; i++)
    all.push({ at: set.at(k, i / (count - 1), [noise * draw.normal(), noise * draw.normal()], draw.uniform), k });
  shuffle(all, draw);
  const part = (which) => { const kept = all.filter((_, i) => i % 2 === which); return { x: kept.map((one) => one.at), y: kept.map((one) => one.k) }; };
  return { train: part(0), test: part(1), classes: set.classes };
}
function shuffle(all, draw) {
  for (let i = all.length - 1; i > 0; i--) { const j = Math.floor(draw.uniform() * (i + 1)); [all[i], all[j]] = [all[j], all[i]]; }
}
