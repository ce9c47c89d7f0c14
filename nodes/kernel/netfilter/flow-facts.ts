import { formatIp } from '../../../protocols/ip.ts';
import type { ConntrackFacts, CtTupleFacts } from '../../events/kernel.ts';
import type { CtTuple } from './conntrack-entry.ts';
import type { Flow } from './flow.ts';

export function tupleFacts({ src, dst, proto, srcPort, dstPort }: CtTuple): CtTupleFacts {
  return { src: formatIp(src), dst: formatIp(dst), proto, srcPort, dstPort };
}

export function flowFacts(flow: Flow): ConntrackFacts {
  const { original, reply, state, seenReply, assured, mark, srcNat, dstNat } = flow;
  return {
    original: tupleFacts(original),
    reply: tupleFacts(reply),
    state,
    seenReply,
    assured,
    mark,
    srcNat,
    dstNat,
  };
}
