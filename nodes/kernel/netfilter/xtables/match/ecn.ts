import { PROTO_TCP } from '../../../../../protocols/ipv4.ts';
import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension, MatchFunction } from '../extension.ts';
import { all } from '../head.ts';
import { numberOf } from '../options.ts';
import { tcpHeaderAt, tosOf } from '../packet.ts';
import { once } from '../values.ts';
import { requireProto } from './ports.ts';

const HEADER = 20;
const ECE = 0x40;
const CWR = 0x80;

/** Whether a TCP packet has a flag; one that has no header has not, nor its opposite. */
function flagMatch(flag: number, negated: boolean): MatchFunction {
  return (skb: Skb) => {
    const at = tcpHeaderAt(skb);
    if (at < 0 || at + HEADER > skb.frame.length) return false;
    return ((skb.frame[at + 13]! & flag) !== 0) !== negated;
  };
}

/** `-m ecn`: what a packet says of congestion, in its IP header or that of TCP (xt_ecn.c; RFC 3168). */
export const ecn: MatchExtension = {
  name: 'ecn',
  options: { '--ecn-tcp-ece': 0, '--ecn-tcp-cwr': 0, '--ecn-ip-ect': 1 },
  bind(given, head) {
    const ece = once('ecn', given, '--ecn-tcp-ece');
    const cwr = once('ecn', given, '--ecn-tcp-cwr');
    const ect = once('ecn', given, '--ecn-ip-ect');
    if (ece === undefined && cwr === undefined && ect === undefined)
      throw usage('ECN match: some option required');
    const point = ect === undefined ? 0 : numberOf('ecn', ect, 3);
    if (ece !== undefined || cwr !== undefined) requireProto(head, PROTO_TCP);
    const words = (found: Given | undefined, text: string, mark: string) =>
      found === undefined ? [] : [`${found.negated ? mark : ''}${text}`];
    const conditions: MatchFunction[] = [];
    if (ect !== undefined) conditions.push((skb) => ((tosOf(skb) & 3) === point) !== ect.negated);
    if (ece !== undefined) conditions.push(flagMatch(ECE, ece.negated));
    if (cwr !== undefined) conditions.push(flagMatch(CWR, cwr.negated));
    const holds = all(conditions) ?? (() => true);
    return {
      save: [
        ...words(ece, '--ecn-tcp-ece', '! '),
        ...words(cwr, '--ecn-tcp-cwr', '! '),
        ...words(ect, `--ecn-ip-ect ${point}`, '! '),
      ].join(' '),
      list: () =>
        [
          'ECN match',
          ...words(ece, 'ECE', '!'),
          ...words(cwr, 'CWR', '!'),
          ...words(ect, `ECT=${point}`, '!'),
        ].join(' '),
      compile: () => holds,
    };
  },
};
