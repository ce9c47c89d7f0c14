import { formatIp, type IpAddress, type IpFamily, joinIp } from '../../../../../protocols/ip.ts';
import { parseIp4 } from '../../../../../protocols/ip4.ts';
import { ANY_IP6, LOOPBACK_IP6, mappedIp4, parseIp6 } from '../../../../../protocols/ip6.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../../../../protocols/ipv4.ts';
import type { NatRange } from '../../conntrack-entry.ts';
import { netfilterOf } from '../../families.ts';
import { type Hook, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../hooks.ts';
import type { Nat } from '../../nat.ts';
import type { Skb } from '../../skb.ts';
import { missing, usage } from '../error.ts';
import type { CompileContext, Given, RuleHead, TargetExtension } from '../extension.ts';
import { destinationOf, sourceOf } from '../packet.ts';
import { formatNetwork, once, parseNetwork, parsePort } from '../values.ts';

/** Protocols that NAT takes ports of; of ICMP it is the id. */
const WITH_PORTS: readonly number[] = [PROTO_ICMP, PROTO_TCP, PROTO_UDP, 33, 132];

/** A rule that makes flows others needs to know of flows, which the table by itself does not (`xt_nat_checkentry`). */
function natOf({ ns, family }: CompileContext): Nat {
  ns.conntrack.require(family);
  return netfilterOf(ns, family).nat;
}

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
function parsePorts(text: string, { proto }: RuleHead): readonly [number, number] {
  if (text === '') return [0, 0];
  if (!WITH_PORTS.includes(proto)) throw usage('Need TCP, UDP, SCTP or DCCP with port specification');
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

/** `10.0.0.1[-10.0.0.5][:80[-90]]`; addresses of IPv6 that ports follow stand in brackets, `[2001:db8::1]:80`. */
function parseTo(text: string, head: RuleHead) {
  const { family } = head;
  const [addresses, ports] = partsOf(text);
  const range = parsePorts(ports, head);
  const [first = '', second = first] = addresses.split('-');
  const parse = family === 'inet' ? parseIp4 : parseIp6;
  const unset = family === 'inet' ? 0 : ANY_IP6;
  const from = addresses === '' ? unset : parse(first);
  const to = addresses === '' ? unset : parse(second);
  if (from === null || to === null) throw usage(`Bad IP address "${from === null ? first : second}"`);
  const plain = from === to ? formatIp(from) : `${formatIp(from)}-${formatIp(to)}`;
  const words = addresses === '' ? '' : family === 'inet6' && ports !== '' ? `[${plain}]` : plain;
  return { from, to, ports: range, text: `${words}${ports === '' ? '' : `:${portsText(range)}`}` };
}

/** Addresses and ports. One colon outside of brackets is that of ports; more are those of an address. */
function partsOf(text: string): readonly [addresses: string, ports: string] {
  const bracketed = /^[^[]*\[([^\]]*)(\]?)[^:]*(?::(.*))?$/s.exec(text);
  if (bracketed !== null) {
    if (bracketed[2] === '') throw usage('Invalid address format');
    return [bracketed[1] ?? '', bracketed[3] ?? ''];
  }
  const [addresses = '', ports = '', ...more] = text.split(':');
  return more.length > 0 ? [text, ''] : [addresses, ports];
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
        compile: (context) => {
          const nat = natOf(context);
          return (skb) => nat.setup(skb, manip, range);
        },
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
      compile: (context) => {
        const nat = natOf(context);
        return (skb) => nat.masquerade(skb, { minPort: range[0], maxPort: range[1], ports });
      },
    };
  },
};

const LOOPBACK = 0x7f000001;

/** The address of the host that a packet is sent to instead (nf_nat_redirect.c); null: it has none. */
function ownAddress({ in: input }: Skb, family: IpFamily, hook: Hook): IpAddress | null {
  if (hook === NF_LOCAL_OUT) return family === 'inet' ? LOOPBACK : LOOPBACK_IP6;
  if (family === 'inet') return input?.addresses[0]?.addr ?? null;
  const usable = input?.inet6.addresses.find(({ addr, dad }) => dad === null && mappedIp4(addr) === null);
  return usable?.addr ?? null;
}

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
      compile: (context) => {
        const { ns, family } = context;
        const nat = natOf(context);
        return (skb, hook) => {
          const addr = ownAddress(skb, family, hook);
          if (addr === null) {
            ns.kernel.drop('redirect-no-address');
            return 'drop';
          }
          const range = { minAddr: addr, maxAddr: addr, minPort, maxPort };
          return nat.setup(skb, 'dst', { ...range, ports, persistent: false });
        };
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
  bind(given, { family }) {
    const found = once('NETMAP', given, '--to');
    if (found === undefined) throw missing('NETMAP', '--to');
    const { addr, mask } = parseNetwork(found.values[0] ?? '', family);
    const text = formatNetwork({ addr, mask });
    return {
      save: `--to ${text}`,
      list: () => `to:${text}`,
      compile: (context) => {
        const nat = natOf(context);
        return (skb, hook) => {
          const manip = hook === NF_PRE_ROUTING || hook === NF_LOCAL_OUT ? 'dst' : 'src';
          const old = manip === 'dst' ? destinationOf(skb) : sourceOf(skb);
          const moved = joinIp(addr, old, mask);
          const range = { minAddr: moved, maxAddr: moved, minPort: 0, maxPort: 0, persistent: false };
          return nat.setup(skb, manip, { ...range, ports: 'keep' });
        };
      },
    };
  },
};
