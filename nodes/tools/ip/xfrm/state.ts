import type { EspSuite, Hmac } from '../../../../protocols/esp.ts';
import { familyOf, type IpAddress } from '../../../../protocols/ip.ts';
import type { XfrmMode } from '../../../events/xfrm.ts';
import type { XfrmEncap, XfrmState, XfrmStateOptions } from '../../../kernel/xfrm/state.ts';
import { ToolError } from '../../tool.ts';
import { change, type IpContext } from '../context.ts';
import {
  EXIT_ARGUMENT,
  EXIT_KERNEL,
  EXIT_USAGE,
  garbage,
  invalidArgument,
  notEmulated,
  Words,
} from '../words.ts';
import { type Detail, stateText } from './text.ts';
import { addressOf, modeOf, numberOf, required, takeId, takeLimit, UNLIMITED, type XfrmId } from './words.ts';

/** `ip xfrm state`. @throws ToolError */
export function xfrmState(args: readonly string[], ctx: IpContext): void {
  const [command = 'list', ...rest] = args;
  const words = new Words(rest);
  const { xfrm } = ctx.ns;
  const detail: Detail = ctx.options.statistics === 'shown' ? 'statistics' : 'plain';
  switch (command) {
    case 'add':
    case 'update':
      modify(words, command, ctx);
      return;
    case 'delete':
    case 'del': {
      const { id } = parseId(words);
      if (id.proto === undefined) throw required('XFRM-PROTO');
      change(() => xfrm.sad.remove(id.dst ?? 0, id.spi));
      return;
    }
    case 'get': {
      const { id } = parseId(words);
      const state = xfrm.sad
        .list()
        .find(({ options }) => options.dst === (id.dst ?? 0) && options.spi === id.spi);
      if (state === undefined) throw new ToolError('RTNETLINK answers: No such process', EXIT_KERNEL);
      ctx.out.stdout(stateText(state, 'shown', detail));
      return;
    }
    case 'list':
    case 'show':
    case 'lst':
    case 'deleteall':
    case 'delall': {
      const found = parseId(words);
      const states = xfrm.sad.list().filter((state) => matches(state, found, ctx));
      if (command.startsWith('del'))
        for (const { options } of states) xfrm.sad.remove(options.dst, options.spi);
      else ctx.out.stdout(states.map((state) => stateText(state, found.nokeys, detail)).join(''));
      return;
    }
    case 'flush':
      xfrm.flush('state');
      return;
    case 'count':
      ctx.out.stdout(`\t SAD count ${xfrm.sad.list().length}\n`);
      return;
    default:
      if (command === 'allocspi') throw notEmulated('ip xfrm state allocspi');
      throw new ToolError(`Command "${command}" is unknown, try "ip xfrm state help".`, EXIT_USAGE);
  }
}

function matches(
  { options }: XfrmState,
  { id, reqid, mode }: ReturnType<typeof parseId>,
  ctx: IpContext,
): boolean {
  const { family } = ctx.options;
  return (
    (family === 'any' || familyOf(options.src) === family) &&
    (id.src === null || options.src === id.src) &&
    (id.dst === null || options.dst === id.dst) &&
    (id.spi === 0 || options.spi === id.spi) &&
    (reqid === null || options.reqid === reqid) &&
    (mode === null || options.mode === mode)
  );
}

/** What names states, to be listed or deleted. */
function parseId(words: Words) {
  const id: XfrmId = { src: null, dst: null, spi: 0 };
  let nokeys: 'shown' | 'hidden' = 'shown';
  let reqid: number | null = null;
  let mode: XfrmMode | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (takeId(id, word, words)) continue;
    if (word === 'nokeys') nokeys = 'hidden';
    else if (word === 'reqid') reqid = numberOf(words.argument(), 'REQID');
    else if (word === 'mode') mode = modeOf(words.argument());
    else throw garbage('ID', word);
  }
  return { id, nokeys, reqid, mode };
}

/** Numbers that may come late, at most (`XFRMA_REPLAY_ESN_MAX`). */
const WINDOW_MAX = 4096;

const NOT_EMULATED = [
  ...['mark', 'seq', 'replay-seq', 'replay-seq-hi', 'replay-oseq', 'replay-oseq-hi', 'extra-flag', 'sel'],
  ...['coa', 'ctx', 'offload', 'output-mark', 'if_id', 'tfcpad', 'comp'],
];

interface Algorithms {
  enc: Uint8Array | null;
  auth: { readonly hmac: Hmac; readonly key: Uint8Array; readonly bits: number } | null;
  aead: EspSuite | null;
}

function modify(words: Words, how: 'add' | 'update', ctx: IpContext): void {
  const id: XfrmId = { src: null, dst: null, spi: 0 };
  const algorithms: Algorithms = { enc: null, auth: null, aead: null };
  let reqid = 0;
  let mode: XfrmMode = 'transport';
  let replayWindow = 0;
  let flags = { esn: 'off', inner: 'own' } as Pick<XfrmStateOptions, 'esn' | 'inner'>;
  let encap: XfrmEncap | null = null;
  let limits = UNLIMITED;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (takeId(id, word, words) || takeAlgorithm(algorithms, word, words)) continue;
    switch (word) {
      case 'reqid':
        reqid = numberOf(words.argument(), 'REQID');
        break;
      case 'mode':
        mode = modeOf(words.argument());
        break;
      case 'replay-window':
        replayWindow = numberOf(words.argument(), 'SIZE');
        break;
      case 'flag':
        flags = flagsOf(flags, words.argument(), words);
        break;
      case 'encap':
        encap = encapOf(words);
        break;
      case 'limit':
        limits = takeLimit(limits, words);
        break;
      default:
        if (!NOT_EMULATED.includes(word)) throw invalidArgument(word, 'unknown');
        throw notEmulated(`ip xfrm state ${how} ${word}`);
    }
  }
  if (flags.esn === 'on' && replayWindow === 0)
    throw new ToolError('Error: esn flag set without replay-window.', EXIT_USAGE);
  if (replayWindow > WINDOW_MAX)
    throw new ToolError(
      `Error: replay-window (${replayWindow}) > XFRMA_REPLAY_ESN_MAX (${WINDOW_MAX}).`,
      EXIT_USAGE,
    );
  if (id.proto === undefined) throw required('XFRM-PROTO');
  const suite = suiteOf(algorithms);
  const any: IpAddress = typeof (id.src ?? id.dst ?? 0) === 'number' ? 0 : '\0'.repeat(16);
  const { src, dst, spi } = { src: id.src ?? any, dst: id.dst ?? any, spi: id.spi };
  const options = { src, dst, spi, reqid, mode, replayWindow, suite, ...flags, encap, limits };
  change(() => ctx.ns.xfrm.sad.set(options, how));
}

/** @throws ToolError */
function suiteOf({ enc, auth, aead }: Algorithms): EspSuite {
  if (enc !== null) {
    if (auth === null) throw notEmulated('ip xfrm state with enc and without auth');
    return { type: 'cbc', key: enc, hmac: auth.hmac, authKey: auth.key, icvLength: auth.bits / 8 };
  }
  if (aead === null)
    throw new ToolError(
      'ALGO-TYPE value "enc" or "aead" is required with XFRM-PROTO value "esp"',
      EXIT_ARGUMENT,
    );
  return aead;
}

function takeAlgorithm(algorithms: Algorithms, word: string, words: Words): boolean {
  if (!['enc', 'auth', 'auth-trunc', 'aead'].includes(word)) return false;
  const name = algorithm(words);
  const key = keyOf(words);
  if (word === 'enc') {
    if (name !== 'cbc(aes)') throw notEmulated(`ip xfrm enc ${name}`);
    algorithms.enc = aesKey(key);
  } else if (word === 'aead') {
    if (name !== 'rfc4106(gcm(aes))') throw notEmulated(`ip xfrm aead ${name}`);
    const icvLength = icvBits(words, 128) / 8;
    if (icvLength < 8) throw invalid();
    algorithms.aead = { type: 'gcm', key: aesKey(key.subarray(0, -4)), salt: key.subarray(-4), icvLength };
  } else {
    const hmac = /^hmac\((sha1|sha256|sha384|sha512)\)$/.exec(name)?.[1] as Hmac | undefined;
    if (hmac === undefined) throw notEmulated(`ip xfrm auth ${name}`);
    // What the kernel takes where it is not told; for SHA-256 that is of a draft, not of RFC 4868.
    const usual = { sha1: 96, sha256: 96, sha384: 192, sha512: 256 }[hmac];
    algorithms.auth = { hmac, key, bits: word === 'auth' ? usual : icvBits(words, digestBits(hmac)) };
  }
  return true;
}

const OTHER_FLAGS = ['noecn', 'decap-dscp', 'nopmtudisc', 'wildrecv', 'icmp', 'align4'];

/** The first flag is there, others may follow (`xfrm_state_flag_parse`). */
function flagsOf(
  flags: Pick<XfrmStateOptions, 'esn' | 'inner'>,
  first: string,
  words: Words,
): Pick<XfrmStateOptions, 'esn' | 'inner'> {
  const take = (all: typeof flags, flag: string | undefined): typeof flags | null => {
    if (flag === 'esn') return { ...all, esn: 'on' };
    if (flag === 'af-unspec') return { ...all, inner: 'any' };
    if (flag !== undefined && OTHER_FLAGS.includes(flag)) throw notEmulated(`ip xfrm state flag ${flag}`);
    return null;
  };
  let taken = take(flags, first);
  if (taken === null) throw invalidArgument(first, 'unknown');
  for (let next = take(taken, words.peek()); next !== null; next = take(taken, words.peek())) {
    words.next();
    taken = next;
  }
  return taken;
}

/** `espinudp SPORT DPORT OADDR` */
function encapOf(words: Words): XfrmEncap {
  const type = words.argument();
  if (['espinudp-nonike', 'espintcp'].includes(type)) throw notEmulated(`ip xfrm state encap ${type}`);
  if (type !== 'espinudp') throw invalidArgument(type, 'ENCAP-TYPE value is invalid');
  const port = (name: string) => {
    const text = words.argument();
    const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value <= 0xffff)) throw invalidArgument(text, `${name} value after "encap" is invalid`);
    return value;
  };
  const [sport, dport] = [port('SPORT'), port('DPORT')];
  return { sport, dport, original: addressOf(words.argument()) };
}

const invalid = () => new ToolError('RTNETLINK answers: Invalid argument', 2);

function algorithm(words: Words): string {
  const name = words.next();
  if (name === undefined) throw required('ALGO-NAME');
  return name;
}

/** Hexadecimal behind 0x, else the characters themselves (`xfrm_algo_parse`). */
function keyOf(words: Words): Uint8Array {
  const text = words.next();
  if (text === undefined) throw required('ALGO-KEYMAT');
  if (!text.startsWith('0x')) return new TextEncoder().encode(text);
  const digits = text.slice(2);
  if (!/^[0-9a-fA-F]*$/.test(digits)) throw invalidArgument(text, 'ALGO-KEYMAT value is invalid');
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return Uint8Array.from(even.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function aesKey(key: Uint8Array): Uint8Array {
  if (key.length !== 16 && key.length !== 24 && key.length !== 32) throw invalid();
  return key;
}

function icvBits(words: Words, most: number): number {
  const text = words.next();
  if (text === undefined) throw required('ALGO-ICV-LEN');
  const bits = numberOf(text, 'ALGO-ICV-LEN');
  if (bits % 32 !== 0 || bits === 0 || bits > most) throw invalid();
  return bits;
}

function digestBits(hmac: Hmac): number {
  return hmac === 'sha1' ? 160 : Number(hmac.slice(3));
}
