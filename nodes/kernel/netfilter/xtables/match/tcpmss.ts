import { u16 } from '../../../../../protocols/bytes.ts';
import { PROTO_TCP } from '../../../../../protocols/ipv4.ts';
import { missing, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { spanOf, spanText } from '../span.ts';
import { once } from '../values.ts';
import { requireProto } from './ports.ts';

const HEADER = 20;
const OPTION_MSS = 2;
const MSS_LENGTH = 4;

/** The first MSS among the options between two places; null for none. */
function mssIn(frame: Uint8Array, from: number, end: number): number | null {
  for (let at = from; at < end; ) {
    if (frame[at] === OPTION_MSS && end - at >= MSS_LENGTH && frame[at + 1] === MSS_LENGTH)
      return u16(frame, at + 2);
    // The end of the options is passed over as padding is.
    at += frame[at]! < 2 || at + 1 >= end ? 1 : Math.max(frame[at + 1]!, 1);
  }
  return null;
}

/** `-m tcpmss`: the MSS that a TCP packet tells (xt_tcpmss.c). */
export const tcpmss: MatchExtension = {
  name: 'tcpmss',
  options: { '--mss': 1 },
  bind(given, head) {
    const span = spanOf('tcpmss', once('tcpmss', given, '--mss'), 0xffff);
    if (span === null) throw missing('tcpmss', '--mss');
    if (span.from > span.to) throw usage('tcpmss: invalid range given');
    requireProto(head, PROTO_TCP);
    const { from, to, negated } = span;
    return {
      save: `${negated ? '! ' : ''}--mss ${spanText(span)}`,
      list: () => `tcpmss match ${negated ? '!' : ''}${spanText(span)}`,
      compile: () => (skb) => {
        const at = transportAt(skb, HEADER);
        if (at < 0) return false;
        const { frame } = skb;
        const length = (frame[at + 12]! >> 4) * 4;
        if (length < HEADER || at + length > frame.length) {
          skb.hotdrop = true;
          return false;
        }
        const mss = mssIn(frame, at + HEADER, at + length);
        return mss === null ? negated : (mss >= from && mss <= to) !== negated;
      },
    };
  },
};
