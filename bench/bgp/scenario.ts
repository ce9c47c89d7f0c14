export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly injectors: number;
  readonly prefixes: number;
  /** Single prefixes announced one after the other once the table is there; 0 for no measurement of latency. */
  readonly probes: number;
  /** Between the sessions' coming up and the first UPDATE, ms: the daemons' initial advertisements and timers pass. */
  readonly settle: number;
}

const SETTLE = 3_000;

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a100k',
    title: '100,000 prefixes from one peer',
    injectors: 1,
    prefixes: 100_000,
    probes: 1000,
    settle: SETTLE,
  },
  {
    name: 'a500k',
    title: '500,000 prefixes from one peer',
    injectors: 1,
    prefixes: 500_000,
    probes: 0,
    settle: SETTLE,
  },
  {
    name: 'b',
    title: '50,000 prefixes, each from 10 peers',
    injectors: 10,
    prefixes: 50_000,
    probes: 0,
    settle: SETTLE,
  },
];

/** `quick` is a hundredth of everything, to see whether the bench runs. */
export function scenarios(size: 'full' | 'quick'): readonly Scenario[] {
  if (size === 'full') return SCENARIOS;
  return SCENARIOS.map((scenario) => ({
    ...scenario,
    title: `${scenario.title}, a hundredth of it`,
    prefixes: scenario.prefixes / 100,
    probes: scenario.probes / 20,
    settle: SETTLE / 10,
  }));
}
