import fc from 'fast-check';

// Loaded before every test file. The same cases in each run: one that fails is one that a change has made fail. SEED=2 draws
// others, SEED=random what nobody has drawn before (a failure names its seed), and so do RUNS, which ask for more.
const { SEED, RUNS } = process.env;
const seed = SEED ?? (RUNS === undefined ? '1' : 'random');
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
