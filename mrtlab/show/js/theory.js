// theory.js: the few formulas of mrtlab.theory that the figures need, under the same names.
// A browser test requires every number to equal Python's (tests/book/test_explorables_parity.py).

export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** n answers, each d times as likely as the one before it. */
export function ladder(n, d) {
  const steps = Array.from({ length: n }, (_, r) => d ** r);
  const total = sum(steps);
  return steps.map((step) => step / total);
}

/** How many equally likely answers would be this uncertain, exp(−Σ p log p). */
export const effectiveSupport = (p) => Math.exp(-sum(p.map((x) => (x > 0 ? x * Math.log(x) : 0))));

/** Chance that an answer of probability x is among k draws, 1 − (1 − x)ᵏ; exact for tiny x too. */
export const chanceSeen = (x, k) => -Math.expm1(k * Math.log1p(-x)) + 0;

/** Expected number of different answers among k draws, Σ 1 − (1 − p)ᵏ. */
export const expectedCoverage = (p, k) => sum(p.map((x) => chanceSeen(x, k)));

/** P(count = 0 … k) when an answer of probability x has k chances; needs x < 1. */
export function binomial(k, x) {
  const chance = [(1 - x) ** k];
  for (let c = 1; c <= k; c++) chance.push(((chance[c - 1] * (k - c + 1)) / c) * (x / (1 - x)));
  return chance;
}

/** Expected total variation between the truth and the shares c/k of k draws, ½ Σ E|c/k − p|. */
export const expectedTv = (p, k) =>
  0.5 * sum(p.map((x) => sum(binomial(k, x).map((chance, c) => chance * Math.abs(c / k - x)))));

/** Expected total variation between the shares of two independent sets of k draws, ½ Σ E|c − c′|/k. */
export function expectedDisagreement(p, k) {
  const gap = (chance) =>
    sum(chance.map((a, c) => sum(chance.map((b, other) => (a * b * Math.abs(c - other)) / k))));
  return 0.5 * sum(p.map((x) => gap(binomial(k, x))));
}

/** Smallest k whose expected coverage reaches this share of all answers; null when none does. */
export function drawsNeeded(p, share) {
  const goal = share * p.length;
  if (p.filter((x) => x > 0).length <= goal) return null;
  let enough = 1;
  while (expectedCoverage(p, enough) < goal) enough *= 2;
  let tooFew = Math.floor(enough / 2);
  while (enough - tooFew > 1) {
    const middle = Math.floor((enough + tooFew) / 2);
    if (expectedCoverage(p, middle) < goal) tooFew = middle;
    else enough = middle;
  }
  return enough;
}

/** mulberry32: a random generator of one line of state, so that a seed in a link restores the picture. */
export function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * How often each answer comes up in the k draws of one training.
 * The draws of a training do not depend on k: a larger k hears the same answers and then more of them.
 */
export function drawCounts(p, k, seed, training) {
  const random = mulberry32(Math.imul(seed, 0x9e3779b1) + Math.imul(training, 0x85ebca77));
  const counts = p.map(() => 0);
  for (let draw = 0; draw < k; draw++) {
    let left = random();
    let answer = 0;
    while (answer < p.length - 1 && left >= p[answer]) left -= p[answer++];
    counts[answer] += 1;
  }
  return counts;
}

/** Variance of the estimated loss, V_x/N_p + V_{y|x}/(N_p K). */
export const variance = ({ prompt, response }, nPrompts, k) => (prompt + response / k) / nPrompts;

/** The K of least variance for a budget, √(V_{y|x}/V_x · C_p/C_r); a real number. */
export const optimalK = ({ prompt, response }, promptCost, responseCost) =>
  Math.sqrt(((response / prompt) * promptCost) / responseCost);

/** What K answers of mean similarity s are worth, K / (1 + (K − 1) s). */
export const effectiveK = (k, similarity) => k / (1 + (k - 1) * similarity);

/** Exact law of the best of n draws; `levels` lists the answers in groups of equal reward, the worst group first. */
export function bestOfN(p, levels, n) {
  const law = [];
  let under = 0;
  for (const level of levels) {
    let mass = 0;
    for (const i of level) mass += p[i];
    const upTo = Math.min(under + mass, 1);
    const wins = upTo ** n - under ** n;
    for (const i of level) law[i] = mass && (p[i] / mass) * wins;
    under = upTo;
  }
  return law;
}

/** What a reward is worth in facility location: a serves, b wants to be served. Scaled to 0 … 1, never below 1e-4. */
function weights(reward, alpha) {
  const low = Math.min(...reward);
  const span = Math.max(...reward) - low;
  const a = reward.map((r) => Math.max(span ? (r - low) / span : 1, 1e-4) ** alpha);
  return { a, b: a.map((x) => Math.max(x, 1e-4)) };
}

/** How well the chosen stand for all, F(S) = Σ_i b_i max_{j∈S} a_j s_ij; without a reward all weights are 1. */
export function facilityValue(similarity, chosen, reward = similarity.map(() => 1), alpha = 0) {
  const { a, b } = weights(reward, alpha);
  return sum(similarity.map((row, i) => b[i] * Math.max(0, ...chosen.map((j) => a[j] * row[j]))));
}

/** Keep K by greedy steps on F: each adds the candidate that raises it most, the first of equals. */
export function facilityLocation(similarity, k, reward = similarity.map(() => 1), alpha = 0) {
  const { a, b } = weights(reward, alpha);
  const served = similarity.map(() => 0);
  const worth = (i, j) => Math.max(served[i], similarity[i][j] * a[j] * b[i]);
  const picks = [];
  let tie = null;
  while (picks.length < k) {
    const gains = a.map((_, j) => (picks.includes(j) ? -Infinity : sum(served.map((s, i) => worth(i, j) - s))));
    const most = Math.max(...gains);
    tie ??= 1e-12 * most;
    const pick = gains.findIndex((gain) => gain >= most - tie);
    picks.push(pick);
    served.forEach((_, i) => (served[i] = worth(i, pick)));
  }
  return picks;
}

/** Expected number of kinds among K of N picked at random, Σ 1 − C(N − n, K)/C(N, K). */
export function expectedKinds(sizes, k) {
  const all = sum(sizes);
  const missed = (size) => Array.from({ length: k }, (_, i) => Math.max(0, all - size - i) / (all - i));
  return sum(sizes.map((size) => 1 - missed(size).reduce((a, b) => a * b, 1)));
}
