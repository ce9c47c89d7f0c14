import type { ImpairmentChange } from '../../nodes/commands.ts';
import type { Cut } from '../../nodes/events/kernel.ts';
import type { NodeView } from '../../nodes/state/node-fold.ts';
import type { NetemChanges } from '../../protocols/netem/parameters.ts';
import { formatNetem, NetemError, parseNetem } from '../../protocols/netem/words.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { parseDuration } from '../lab/duration.ts';
import { type Port, portsOf } from '../ports.ts';
import type { RunningLab } from '../running-lab.ts';
import { liveViews } from './get.ts';
import { table, write } from './output.ts';

class NothingToSetError extends Error {
  override readonly name = 'NothingToSetError';
}

class TcWordsError extends Error {
  override readonly name = 'TcWordsError';
}

/** Options of `tc set`, those of `containerlab tools netem set` among them. */
export interface TcOptions {
  readonly delay?: string;
  readonly jitter?: string;
  readonly distribution?: string;
  readonly loss?: string;
  readonly duplicate?: string;
  readonly reorder?: string;
  readonly corrupt?: string;
  readonly corruption?: string;
  readonly rate?: string;
  readonly limit?: string;
}

/**
 * What options and words ask for. A number without a unit is what containerlab takes it for: percent, kbit/s.
 * @throws TcWordsError, DurationError
 */
export function netemChanges(options: TcOptions, words: readonly string[]): NetemChanges {
  const spelled = words[0] === 'netem' ? words.slice(1) : words;
  const { delay, jitter, distribution, loss, duplicate, reorder, limit, rate } = options;
  const corrupt = options.corrupt ?? options.corruption;
  const kbit = rate !== undefined && /^\d+$/.test(rate) ? `${rate}kbit` : rate;
  const own = Object.entries({ distribution, loss, duplicate, reorder, corrupt, limit, rate: kbit }).flatMap(
    ([key, value]) => (value === undefined ? [] : [key, ...value.trim().split(/\s+/)]),
  );
  return {
    ...netemWords(spelled),
    ...netemWords(own),
    ...(delay === undefined ? {} : { delay: parseDuration(delay) }),
    ...(jitter === undefined ? {} : { jitter: parseDuration(jitter) }),
  };
}

/** tc's own complaint names neither the place nor the mend. */
function netemWords(words: readonly string[]): NetemChanges {
  try {
    return parseNetem(words);
  } catch (error) {
    if (!(error instanceof NetemError)) throw error;
    throw new TcWordsError(
      `${words.join(' ')}: ${error.message}; write it like: delay 20ms 2ms loss 1% rate 10mbit (docs/links.md)`,
    );
  }
}

/** Does the same to every port of a target, and says what is wrong with them then. */
export async function changePorts(
  lab: RunningLab,
  compiled: CompiledLab,
  target: string,
  change: ImpairmentChange,
): Promise<void> {
  if (change.op === 'netem' && Object.keys(change.changes).length === 0)
    throw new NothingToSetError('nothing to set; reroute tc set --help lists what there is');
  const ports = portsOf(compiled, target);
  for (const { node, device } of ports) await lab.act({ type: 'impair', node, device, change });
  showPorts(ports, await liveViews(lab, {}));
}

/** A line for each port. */
export function showPorts(ports: readonly Port[], views: ReadonlyMap<string, NodeView>): void {
  const rows = ports.map(({ node, device }) => {
    const kernel = views.get(node)?.kernel;
    if (kernel === undefined) return [`${node}:${device}`, 'node down', ''];
    const netem = kernel.qdiscs['']?.find(({ dev }) => dev === device)?.netem;
    const cut: Cut = kernel.cuts['']?.find(({ dev }) => dev === device)?.cut ?? 'none';
    return [`${node}:${device}`, cut, netem === undefined ? 'none' : formatNetem(netem)];
  });
  write(table(['port', 'cut', 'netem'], rows));
}
