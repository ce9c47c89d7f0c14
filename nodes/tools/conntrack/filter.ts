import { type IpAddress, ipPrefixContains, parseIp, parseIpAddress } from '../../../protocols/ip.ts';
import { type Flow, isIcmp } from '../../kernel/netfilter/flow.ts';
import { SCTP_STATES } from '../../kernel/netfilter/sctp-track.ts';
import { TCP_STATES } from '../../kernel/netfilter/tcp-states.ts';
import { protocolNumber } from './protocols.ts';
import { usageError } from './usage.ts';

type Test = (flow: Flow) => boolean;

/** Compiles the options that say which flows are meant. @throws ToolError */
export function compileFilter(values: ReadonlyMap<string, string>): Test {
  const tests: Test[] = [];
  for (const [name, value] of values) {
    const test = compile(name, value);
    if (test !== null) tests.push(test);
  }
  return (flow) => tests.every((test) => test(flow));
}

function compile(name: string, value: string): Test | null {
  switch (name) {
    case 'orig-src':
      return address(value, ({ original }) => original.src);
    case 'orig-dst':
      return address(value, ({ original }) => original.dst);
    case 'reply-src':
      return address(value, ({ reply }) => reply.src);
    case 'reply-dst':
      return address(value, ({ reply }) => reply.dst);
    case 'protonum': {
      const proto = protocolNumber(value);
      return ({ original }) => original.proto === proto;
    }
    case 'orig-port-src':
      return port(value, ({ original }) => original.srcPort);
    case 'orig-port-dst':
      return port(value, ({ original }) => original.dstPort);
    case 'reply-port-src':
      return port(value, ({ reply }) => reply.srcPort);
    case 'reply-port-dst':
      return port(value, ({ reply }) => reply.dstPort);
    case 'icmp-type':
      return port(value, ({ original }) => original.dstPort >>> 8);
    case 'icmp-code':
      return port(value, ({ original }) => original.dstPort & 0xff);
    case 'icmp-id':
      return port(value, ({ original }) => original.srcPort);
    case 'state':
      return state(value);
    case 'sctp-state':
      if (!SCTP_STATES.some((known) => known === value)) throw usageError(`unknown SCTP state \`${value}'`);
      return (flow) => flow.state === value;
    case 'status':
      return status(value);
    case 'mark':
      return mark(value);
    case 'src-nat':
      return translated(value, isSourceTranslated, (flow) => flow.reply.dst);
    case 'dst-nat':
      return translated(value, isDestinationTranslated, (flow) => flow.reply.src);
    case 'any-nat': {
      const source = translated(value, isSourceTranslated, (flow) => flow.reply.dst);
      const destination = translated(value, isDestinationTranslated, (flow) => flow.reply.src);
      return (flow) => source(flow) || destination(flow);
    }
    case 'family':
      return family(value);
    case 'zone': {
      const zone = atoi(value);
      return () => zone === 0;
    }
    default:
      return null;
  }
}

function address(text: string, of: (flow: Flow) => IpAddress): Test {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  if (parseIp(host) === null) throw usageError(`Invalid IP address \`${host}'`);
  const prefix = parseIpAddress(text);
  if (prefix === null) throw usageError('Invalid netmask');
  return (flow) => ipPrefixContains(prefix, of(flow));
}

/** As atoi(3) and a cast to 16 bits. */
function port(text: string, of: (flow: Flow) => number): Test {
  const wanted = atoi(text) & 0xffff;
  return (flow) => of(flow) === wanted;
}

function atoi(text: string): number {
  return Number(/^\s*[+-]?\d+/.exec(text)?.[0] ?? 0);
}

function state(text: string): Test {
  const wanted = text === 'LISTEN' ? 'SYN_SENT2' : text;
  if (!TCP_STATES.some((known) => known === wanted)) throw usageError(`unknown TCP state \`${text}'`);
  return (flow) => flow.state === wanted;
}

const STATUS: Readonly<Record<string, Test>> = {
  ASSURED: ({ assured }) => assured,
  SEEN_REPLY: ({ seenReply }) => seenReply,
  UNREPLIED: ({ seenReply }) => !seenReply,
  UNSET: () => true,
  FIXED_TIMEOUT: () => false,
  EXPECTED: () => false,
  OFFLOAD: () => false,
  HW_OFFLOAD: () => false,
};

function status(text: string): Test {
  const tests = text.split(',').map((word) => {
    const test = STATUS[word.toUpperCase()];
    if (test === undefined) throw usageError(`Bad parameter \`${word}'`);
    return test;
  });
  return (flow) => tests.every((test) => test(flow));
}

/** Value and mask as strtoul(3) reads them; without a mask, all bits count, and without a number any mark is meant. */
function mark(text: string): Test {
  const [value = '', mask] = text.split('/');
  if (!/^\s*\d/.test(value)) return () => true;
  const bits = mask === undefined ? 0xffffffff : strtoul(mask);
  const wanted = strtoul(value);
  return (flow) => ((flow.mark ^ wanted) & bits) === 0;
}

/** strtoul(3), base 0. */
export function strtoul(text: string): number {
  const [digits = ''] = /^\s*(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)/i.exec(text) ?? [];
  const word = digits.trim();
  if (/^0x/i.test(word)) return Number.parseInt(word, 16) >>> 0;
  return (word.startsWith('0') ? Number.parseInt(word, 8) || 0 : Number(word)) >>> 0;
}

function family(text: string): Test {
  if (text === 'ipv4') return (flow) => flow.family === 'inet';
  if (text === 'ipv6') return (flow) => flow.family === 'inet6';
  throw usageError(`\`${text}' unsupported protocol`);
}

/** `nfct_getobjopt_is_snat` and `_spat`; ports are compared for ICMP too, where type and id never are the same. */
function isSourceTranslated({ srcNatDone, original, reply }: Flow): boolean {
  if (!srcNatDone) return false;
  return isIcmp(original.proto) || original.src !== reply.dst || original.srcPort !== reply.dstPort;
}

function isDestinationTranslated({ dstNatDone, original, reply }: Flow): boolean {
  if (!dstNatDone) return false;
  return isIcmp(original.proto) || original.dst !== reply.src || original.dstPort !== reply.srcPort;
}

function translated(text: string, is: Test, to: (flow: Flow) => IpAddress): Test {
  if (text === '') return is;
  const there = address(text, to);
  return (flow) => is(flow) && there(flow);
}
