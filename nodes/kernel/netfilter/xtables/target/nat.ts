import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../../../protocols/ip4.ts';
import { ipDst, ipSrc, PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../../../../protocols/ipv4.ts';
import type { NatRange } from '../../conntrack-entry.ts';
import { NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../hooks.ts';
import { missing, usage } from '../error.ts';
import type { Given, RuleHead, TargetExtension } from '../extension.ts';
import { formatNetwork, once, parseNetwork, parsePort } from '../values.ts';

/** Protocols that NAT takes ports of; of ICMP it is the id. */
const WITH_PORTS: readonly number[] = [PROTO_ICMP, PROTO_TCP, PROTO_UDP, 33, 132, 136];

function flagsOf(given: readonly Given[]) {
  const has = (option: string) => given.some((one) => one.option === option);
  const words = [
    ...(has('--random') ? ['random'] : []),
    ...(has('--random-fully') ? ['random-fully'] : []),
    ...(has('--persistent') ? ['persistent'] : []),
  ];
  const random = has('--random') || has('--random-fully');
  return { words, ports: random ? ('random' as const) : ('keep' as const), persistent: has('--persistent') };
}

/** `80`, `80-90`; [0, 0] for the empty text. */
function parsePorts(text: string, { proto, protoNegated }: RuleHead): readonly [number, number] {
  if (text === '') return [0, 0];
  if (!WITH_PORTS.includes(proto) || protoNegated)
    throw usage('Need TCP, UDP, SCTP or DCCP with port specification');
  const [first = '', second = first] = text.split('-');
  const from = parsePort(first, proto);
  const to = parsePort(second, proto);
  if (from === 0 || to === 0) throw usage(`Port \`${text}' not valid`);
  if (from > to) throw usage(`Port range \`${text}' funky`);
  return [from, to];
}

function portsText([from, to]: readonly [number, number]): string {
  return from === to ? String(from) : `${from}-${to}`;
}

/** `10.0.0.1[-10.0.0.5][:80[-90]]` */
function parseTo(text: string, head: RuleHead) {
  const [addresses = '', ports = ''] = text.split(':');
  const range = parsePorts(ports, head);
  const [first = '', second = first] = addresses.split('-');
  const from = addresses === '' ? 0 : parseIp4(first);
  const to = addresses === '' ? 0 : parseIp4(second);
  if (from === null || to === null) throw usage(`Bad IP address "${from === null ? first : second}"`);
  const words = addresses === '' ? '' : from === to ? formatIp4(from) : `${formatIp4(from)}-${formatIp4(to)}`;
  return { from, to, ports: range, text: `${words}${ports === '' ? '' : `:${portsText(range)}`}` };
}

function translation(
  name: 'DNAT' | 'SNAT',
  option: '--to-destination' | '--to-source',
  manip: 'src' | 'dst',
  hooks: TargetExtension['hooks'] & {},
): TargetExtension {
  return {
    name,
    options: {
      [option]: 1,
      '--random': 0,
      ...(manip === 'src' ? { '--random-fully': 0 } : {}),
      '--persistent': 0,
    },
    tables: ['nat'],
    hooks,
    bind(given, head) {
      const found = once(name, given, option);
      if (found === undefined) throw missing(name, option);
      const to = parseTo(found.values[0] ?? '', head);
      const { words, ports, persistent } = flagsOf(given);
      const range: NatRange = {
        minAddr: to.from,
        maxAddr: to.to,
        minPort: to.ports[0],
        maxPort: to.ports[1],
        ports,
        persistent,
      };
      return {
        save: [`${option} ${to.text}`, ...words.map((word) => `--${word}`)].join(' '),
        list: () => [`to:${to.text}`, ...words].join(' '),
        compile:
          ({ ns }) =>
          (skb) =>
            ns.nat.setup(skb, manip, range),
      };
    },
  };
}

export const dnat = translation('DNAT', '--to-destination', 'dst', [NF_PRE_ROUTING, NF_LOCAL_OUT]);
export const snat = translation('SNAT', '--to-source', 'src', [NF_POST_ROUTING, NF_LOCAL_IN]);

export const masquerade: TargetExtension = {
  name: 'MASQUERADE',
  options: { '--to-ports': 1, '--random': 0, '--random-fully': 0 },
  tables: ['nat'],
  hooks: [NF_POST_ROUTING],
  bind(given, head) {
    const found = once('MASQUERADE', given, '--to-ports');
    const range = parsePorts(found?.values[0] ?? '', head);
    const { words, ports } = flagsOf(given);
    const text = found === undefined ? [] : [portsText(range)];
    return {
      save: [...text.map((one) => `--to-ports ${one}`), ...words.map((word) => `--${word}`)].join(' '),
      list: () => [...text.map((one) => `masq ports: ${one}`), ...words].join(' '),
      compile:
        ({ ns }) =>
        (skb) =>
          ns.nat.masquerade(skb, { minPort: range[0], maxPort: range[1], ports }),
    };
  },
};

const LOOPBACK = 0x7f000001;

/** To the host itself: the address of the device that the packet came in by, or the loopback address (nf_nat_redirect.c). */
export const redirect: TargetExtension = {
  name: 'REDIRECT',
  options: { '--to-ports': 1, '--random': 0 },
  tables: ['nat'],
  hooks: [NF_PRE_ROUTING, NF_LOCAL_OUT],
  bind(given, head) {
    const found = once('REDIRECT', given, '--to-ports');
    const [minPort, maxPort] = parsePorts(found?.values[0] ?? '', head);
    const { words, ports } = flagsOf(given);
    const text = found === undefined ? [] : [portsText([minPort, maxPort])];
    return {
      save: [...text.map((one) => `--to-ports ${one}`), ...words.map((word) => `--${word}`)].join(' '),
      list: () => [...text.map((one) => `redir ports ${one}`), ...words].join(' '),
      compile:
        ({ ns }) =>
        (skb, hook) => {
          const addr = hook === NF_LOCAL_OUT ? LOOPBACK : (skb.in?.addresses[0]?.addr ?? 0);
          if (addr === 0) {
            ns.kernel.drop('redirect-no-address');
            return 'drop';
          }
          return ns.nat.setup(skb, 'dst', {
            minAddr: addr,
            maxAddr: addr,
            minPort,
            maxPort,
            ports,
            persistent: false,
          });
        },
    };
  },
};

/** A whole subnet to another, host bits kept. */
export const netmap: TargetExtension = {
  name: 'NETMAP',
  options: { '--to': 1 },
  tables: ['nat'],
  hooks: [NF_PRE_ROUTING, NF_POST_ROUTING, NF_LOCAL_OUT, NF_LOCAL_IN],
  bind(given) {
    const found = once('NETMAP', given, '--to');
    if (found === undefined) throw missing('NETMAP', '--to');
    const { addr, mask } = parseNetwork(found.values[0] ?? '');
    const text = formatNetwork({ addr, mask });
    return {
      save: `--to ${text}`,
      list: () => `to:${text}`,
      compile:
        ({ ns }) =>
        (skb, hook) => {
          const manip = hook === NF_PRE_ROUTING || hook === NF_LOCAL_OUT ? 'dst' : 'src';
          const old = manip === 'dst' ? ipDst(skb.frame, ETH_HLEN) : ipSrc(skb.frame, ETH_HLEN);
          const moved = ((old & ~mask) | addr) >>> 0;
          const range = { minAddr: moved, maxAddr: moved, minPort: 0, maxPort: 0, persistent: false };
          return ns.nat.setup(skb, manip, { ...range, ports: 'keep' });
        },
    };
  },
};
