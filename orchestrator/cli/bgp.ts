import type { BgpRequest } from '../../nodes/commands.ts';
import { withLab } from './attach.ts';
import { write } from './output.ts';

export class BgpUsageError extends Error {
  override readonly name = 'BgpUsageError';
}

export interface BgpCliOptions {
  readonly lab?: string;
  readonly message?: string;
  readonly family: 'ipv4' | 'ipv6';
}

const USAGE =
  'announce PREFIX, withdraw PREFIX, refresh PEER, reset PEER, disable PEER, enable PEER, import PEER [POLICY…], export PEER [POLICY…], restart';

/** `reroute bgp NODE …`: exit code. */
export async function bgp(node: string, words: readonly string[], options: BgpCliOptions): Promise<number> {
  const request = requestOf(words, options);
  return withLab(options.lab, async (lab) => {
    await lab.act({ type: 'bgp', node, request });
    write(`${node}: ${words.join(' ')}\n`);
    return 0;
  });
}

function requestOf([op = '', what = '', ...rest]: readonly string[], options: BgpCliOptions): BgpRequest {
  if (op === 'restart' && what === '') return { op };
  if (what === '') throw new BgpUsageError(`say what to do: ${USAGE}`);
  if (op === 'import' || op === 'export') return { op: 'policy', peer: what, direction: op, names: rest };
  if (rest.length > 0) throw new BgpUsageError(`unexpected '${rest[0]}': ${USAGE}`);
  switch (op) {
    case 'announce':
    case 'withdraw':
      return { op, prefix: what };
    case 'refresh':
      return { op, peer: what, family: options.family };
    case 'reset':
    case 'enable':
      return { op, peer: what };
    case 'disable':
      return { op, peer: what, communication: options.message ?? '' };
    default:
      throw new BgpUsageError(`there is no '${op}': ${USAGE}`);
  }
}
