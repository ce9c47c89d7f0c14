import { setU16, u16 } from '../../../../../protocols/bytes.ts';
import { adjustChecksum16 } from '../../../../../protocols/checksum.ts';
import { PROTO_TCP } from '../../../../../protocols/ipv4.ts';
import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { requireProto } from '../match/ports.ts';
import { exclude, has, numberOf, onceAsIs } from '../options.ts';
import { protoOf, tcpHeaderAt, tosOf } from '../packet.ts';
import { setTos } from './header.ts';

const HEADER = 20;
const ECE = 0x40;
const CWR = 0x80;

/** Flags that are cleared, then flags that are set; false where there is no whole header (`set_ect_tcp`). */
function setFlags(skb: Skb, mask: number, value: number): boolean {
  const { frame } = skb;
  const at = tcpHeaderAt(skb);
  if (at < 0 || at + HEADER > frame.length) return false;
  const old = u16(frame, at + 12);
  const next = (old & ~mask) | value;
  if (next === old) return true;
  setU16(frame, at + 12, next);
  setU16(frame, at + 16, adjustChecksum16(u16(frame, at + 16), old, next));
  return true;
}

/** What a packet says of congestion is said otherwise, of IPv4 alone (ipt_ECN.c). */
export const ecn: TargetExtension = {
  name: 'ECN',
  options: { '--ecn-tcp-remove': 0, '--ecn-tcp-ece': 1, '--ecn-tcp-cwr': 1, '--ecn-ip-ect': 1 },
  tables: ['mangle'],
  bind(given, head) {
    exclude('ECN', given, '--ecn-tcp-remove', '--ecn-tcp-cwr');
    exclude('ECN', given, '--ecn-tcp-remove', '--ecn-tcp-ece');
    const number = (option: string, most: number) => {
      const found = onceAsIs('ECN', given, option);
      return found === undefined ? null : numberOf('ECN', found, most);
    };
    const removes = has('ECN', given, '--ecn-tcp-remove');
    const ece = removes ? 0 : number('--ecn-tcp-ece', 1);
    const cwr = removes ? 0 : number('--ecn-tcp-cwr', 1);
    const ect = number('--ecn-ip-ect', 3);
    if (ece === null && cwr === null && ect === null) throw usage('ECN target: An operation is required');
    const ofTcp = ece !== null || cwr !== null;
    if (ofTcp) requireProto(head, PROTO_TCP);
    // As libipt_ECN has it, which looks at the point of IP too.
    const plain = ece === 0 && cwr === 0 && ect === null;
    const words = (tcp: readonly [remove: string, ece: string, cwr: string], ip: string) => [
      ...(plain
        ? [tcp[0]]
        : [...(ece === null ? [] : [`${tcp[1]}${ece}`]), ...(cwr === null ? [] : [`${tcp[2]}${cwr}`])]),
      ...(ect === null ? [] : [`${ip}${ect}`]),
    ];
    const mask = (ece === null ? 0 : ECE) | (cwr === null ? 0 : CWR);
    const value = (ece === 1 ? ECE : 0) | (cwr === 1 ? CWR : 0);
    return {
      save: words(['--ecn-tcp-remove', '--ecn-tcp-ece ', '--ecn-tcp-cwr '], '--ecn-ip-ect ').join(' '),
      list: () => ['ECN', ...words(['TCP remove', 'ECE=', 'CWR='], 'ECT codepoint=')].join(' '),
      compile:
        ({ ns }) =>
        (skb) => {
          if (ect !== null) setTos(skb, (tosOf(skb) & ~3) | ect);
          if (!ofTcp || protoOf(skb) !== PROTO_TCP || setFlags(skb, mask, value)) return 'continue';
          ns.kernel.drop('netfilter-drop');
          return 'drop';
        },
    };
  },
};
