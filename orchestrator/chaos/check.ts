import type { CompiledLab } from '../lab/compiled.ts';
import type { Path, Reporter } from '../lab/problem.ts';
import type { Endpoint as LinkEnd } from '../lab/schema-types.ts';
import { suggest } from '../lab/suggest.ts';
import { portsProblem } from '../ports.ts';
import { parseSelector, SelectorError } from '../selector.ts';
import type { Endpoint, RawStep } from './schema.ts';

const POD = /^([a-z0-9][-a-z0-9]*\/)?[a-z0-9][-.a-z0-9]*$/;

/** Whether an end of a probe is a selector, and no pod. */
export function isSelector(endpoint: Endpoint): boolean {
  return endpoint.includes('=');
}

/** Checks what a step of the right form says: against the lab that it is for, and for what can never be. */
export class StepChecker {
  readonly #lab: CompiledLab;
  readonly #reporter: Reporter;

  constructor(lab: CompiledLab, reporter: Reporter) {
    this.#lab = lab;
    this.#reporter = reporter;
  }

  check(raw: RawStep, path: Path): void {
    const { kill, start, link, netem, cut, mend, announce, withdraw, probe, churn, expect } = raw;
    if (typeof kill === 'string') this.#node(kill, [...path, 'kill']);
    else if (kill !== undefined) this.#node(kill.node, [...path, 'kill', 'node']);
    if (start !== undefined) this.#node(start, [...path, 'start']);
    if (link?.down !== undefined) this.#linkEnd(link.down, [...path, 'link', 'down']);
    if (link?.up !== undefined) this.#linkEnd(link.up, [...path, 'link', 'up']);
    if (netem !== undefined) {
      this.#ports(netem.on, [...path, 'netem', 'on']);
      if (Object.keys(netem).length === 1)
        this.#reporter.problem([...path, 'netem'], 'changes nothing', 'add delay, loss, … or reset: true');
    }
    if (cut !== undefined) this.#ports(cut.on, [...path, 'cut', 'on']);
    if (mend !== undefined) this.#ports(mend, [...path, 'mend']);
    if (announce !== undefined) this.#speaker(announce.node, [...path, 'announce', 'node']);
    if (withdraw !== undefined) this.#speaker(withdraw.node, [...path, 'withdraw', 'node']);
    if (probe !== undefined) {
      this.#ends(probe, [...path, 'probe']);
      this.#positive(probe.every, '50ms', [...path, 'probe', 'every']);
    }
    if (churn !== undefined) {
      this.#selector(churn.pods, [...path, 'churn', 'pods']);
      this.#positive(churn.for, '5s', [...path, 'churn', 'for']);
      this.#positive(churn.every, '50ms', [...path, 'churn', 'every']);
    }
    this.#positive(expect?.converged?.within, '5s', [...path, 'expect', 'converged', 'within']);
    for (const want of ['reachable', 'unreachable'] as const) {
      const ends = expect?.[want];
      if (ends !== undefined) this.#ends(ends, [...path, 'expect', want]);
    }
  }

  #node(name: string, path: Path): boolean {
    const names = this.#lab.nodes.map((node) => node.name);
    if (names.includes(name)) return true;
    this.#reporter.problem(path, `no node ${name} in this lab`, suggest(name, names));
    return false;
  }

  #linkEnd({ node, iface }: LinkEnd, path: Path): void {
    if (!this.#node(node, path)) return;
    const devices =
      this.#lab.nodes.find(({ name }) => name === node)?.interfaces.map(({ name }) => name) ?? [];
    if (!devices.includes(iface))
      this.#reporter.problem(path, `no interface ${iface} on ${node}`, suggest(iface, devices));
  }

  #ports(target: string, path: Path): void {
    const problem = portsProblem(this.#lab, target);
    if (problem !== null) this.#reporter.problem(path, problem);
  }

  #speaker(name: string, path: Path): void {
    if (!this.#node(name, path)) return;
    const speakers = this.#lab.nodes.filter((node) => node.bgp !== undefined).map((node) => node.name);
    if (speakers.includes(name)) return;
    const mend =
      speakers.length === 0
        ? ''
        : `${speakers.slice(0, 12).join(', ')} ${speakers.length === 1 ? 'does' : 'do'}`;
    this.#reporter.problem(path, `${name} speaks no BGP`, mend);
  }

  #ends(ends: { readonly from: Endpoint; readonly to: Endpoint }, path: Path): void {
    for (const end of ['from', 'to'] as const) this.#endpoint(ends[end], [...path, end]);
    const [from, to] = [ends.from, ends.to].map((end) => end.replace(/^default\//, ''));
    if (from === to && !isSelector(ends.to))
      this.#reporter.problem(
        [...path, 'to'],
        'the same pod as `from`',
        'name another, or a selector of several',
      );
  }

  #endpoint(endpoint: Endpoint, path: Path): void {
    if (isSelector(endpoint)) this.#selector(endpoint, path);
    else if (!POD.test(endpoint)) {
      const mend = 'write it like web-n1-1, default/web-n1-1 or app=web';
      this.#reporter.problem(path, `'${endpoint}' is neither a pod nor a selector`, mend);
    }
  }

  #selector(text: string, path: Path): void {
    try {
      parseSelector(text);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#reporter.problem(path, error.message);
    }
  }

  #positive(ms: number | undefined, example: string, path: Path): void {
    if (ms === 0) this.#reporter.problem(path, 'must be more than 0', `write it like ${example}`);
  }
}
