import type { EspSuite, Hmac } from '../../../../protocols/esp.ts';
import { formatIp4 } from '../../../../protocols/ip4.ts';
import type { XfrmMode } from '../../../events/xfrm.ts';
import type { XfrmState } from '../../../kernel/xfrm/state.ts';
import { ToolError } from '../../tool.ts';
import { change, type IpContext } from '../context.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, garbage, invalidArgument, notEmulated, Words } from '../words.ts';
import { modeOf, numberOf, required, takeId, type XfrmId } from './words.ts';

/** `ip xfrm state`. @throws ToolError */
export function xfrmState(args: readonly string[], ctx: IpContext): void {
  const [command = 'list', ...rest] = args;
  const words = new Words(rest);
  const { xfrm } = ctx.ns;
  switch (command) {
    case 'add':
    case 'update':
      modify(words, command, ctx);
      return;
    case 'delete':
    case 'del': {
      const { id } = parseId(words);
      change(() => xfrm.removeState(id.dst, id.spi));
      return;
    }
    case 'get': {
      const { id } = parseId(words);
      const state = xfrm.states().find(({ options }) => options.dst === id.dst && options.spi === id.spi);
      if (state === undefined) throw new ToolError('RTNETLINK answers: No such process', 2);
      ctx.out.stdout(stateText(state, 'shown'));
      return;
    }
    case 'list':
    case 'show':
    case 'lst':
    case 'deleteall':
    case 'delall': {
      const { id, nokeys, reqid, mode } = parseId(words);
      const states = xfrm
        .states()
        .filter(
          ({ options }) =>
            (id.src === 0 || options.src === id.src) &&
            (id.dst === 0 || options.dst === id.dst) &&
            (id.spi === 0 || options.spi === id.spi) &&
            (reqid === null || options.reqid === reqid) &&
            (mode === null || options.mode === mode),
        );
      if (command.startsWith('del'))
        for (const { options } of states) xfrm.removeState(options.dst, options.spi);
      else ctx.out.stdout(states.map((state) => stateText(state, nokeys)).join(''));
      return;
    }
    case 'flush':
      for (const { options } of xfrm.states()) xfrm.removeState(options.dst, options.spi);
      return;
    case 'count':
      ctx.out.stdout(`\t SAD count ${xfrm.states().length}\n`);
      return;
    default:
      if (command === 'allocspi') throw notEmulated('ip xfrm state allocspi');
      throw new ToolError(`Command "${command}" is unknown, try "ip xfrm state help".`, EXIT_USAGE);
  }
}

/** What names states, to be listed or deleted. */
function parseId(words: Words) {
  const id: XfrmId = { src: 0, dst: 0, spi: 0 };
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

function modify(words: Words, how: 'add' | 'update', ctx: IpContext): void {
  const id: XfrmId = { src: 0, dst: 0, spi: 0 };
  let reqid = 0;
  let mode: XfrmMode = 'transport';
  let replayWindow = 0;
  let enc: Uint8Array | null = null;
  let auth: { readonly hmac: Hmac; readonly key: Uint8Array; readonly bits: number } | null = null;
  let aead: EspSuite | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (takeId(id, word, words)) continue;
    switch (word) {
      case 'reqid':
        reqid = numberOf(words.argument(), 'REQID');
        break;
      case 'mode':
        mode = modeOf(words.argument());
        break;
      case 'replay-window':
        replayWindow = numberOf(words.argument(), 'SIZE');
        if (replayWindow > 4096) throw invalidArgument(String(replayWindow), 'SIZE value is invalid');
        break;
      case 'enc': {
        const name = algorithm(words);
        const key = keyOf(words);
        if (name !== 'cbc(aes)') throw notEmulated(`ip xfrm enc ${name}`);
        enc = aesKey(key);
        break;
      }
      case 'auth':
      case 'auth-trunc': {
        const name = algorithm(words);
        const key = keyOf(words);
        const hmac = /^hmac\((sha1|sha256|sha384|sha512)\)$/.exec(name)?.[1] as Hmac | undefined;
        if (hmac === undefined) throw notEmulated(`ip xfrm auth ${name}`);
        // What the kernel takes where it is not told; for SHA-256 that is of a draft, not of RFC 4868.
        const usual = { sha1: 96, sha256: 96, sha384: 192, sha512: 256 }[hmac];
        auth = { hmac, key, bits: word === 'auth' ? usual : icvBits(words, digestBits(hmac)) };
        break;
      }
      case 'aead': {
        const name = algorithm(words);
        const key = keyOf(words);
        if (name !== 'rfc4106(gcm(aes))') throw notEmulated(`ip xfrm aead ${name}`);
        const icvLength = icvBits(words, 128) / 8;
        if (icvLength < 8) throw invalid();
        aead = { type: 'gcm', key: aesKey(key.subarray(0, -4)), salt: key.subarray(-4), icvLength };
        break;
      }
      default:
        throw notEmulated(`ip xfrm state ${how} ${word}`);
    }
  }
  if (id.proto === undefined) throw required('XFRM-PROTO');
  if (enc === null && aead === null)
    throw new ToolError(
      'ALGO-TYPE value "enc" or "aead" is required with XFRM-PROTO value "esp"',
      EXIT_ARGUMENT,
    );
  if (enc !== null && auth === null) throw notEmulated('ip xfrm state with enc and without auth');
  const suite: EspSuite | null =
    enc !== null && auth !== null
      ? { type: 'cbc', key: enc, hmac: auth.hmac, authKey: auth.key, icvLength: auth.bits / 8 }
      : aead;
  if (suite === null) return;
  const { src, dst, spi } = id;
  change(() => ctx.ns.xfrm.setState({ src, dst, spi, reqid, mode, replayWindow, suite }, how));
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

/** As iproute2 6.1 prints a state (`xfrm_state_info_print`). */
function stateText(state: XfrmState, keys: 'shown' | 'hidden'): string {
  const { src, dst, spi, reqid, mode, replayWindow, suite } = state.options;
  const key = (bytes: Uint8Array) =>
    keys === 'hidden' ? '<<Keys hidden>>' : `0x${Buffer.from(bytes).toString('hex')}`;
  const bits = 8 * suite.icvLength;
  const algorithms =
    suite.type === 'gcm'
      ? [`aead rfc4106(gcm(aes)) ${key(Buffer.concat([suite.key, suite.salt]))} ${bits}`]
      : [`auth-trunc hmac(${suite.hmac}) ${key(suite.authKey)} ${bits}`, `enc cbc(aes) ${key(suite.key)}`];
  const { window } = state;
  const hex = (value: number) => `0x${value.toString(16)}`;
  return [
    `src ${formatIp4(src)} dst ${formatIp4(dst)}`,
    `\tproto esp spi 0x${spi.toString(16).padStart(8, '0')} reqid ${reqid} mode ${mode}`,
    `\treplay-window ${replayWindow} `,
    ...algorithms.map((line) => `\t${line}`),
    `\tanti-replay context: seq ${hex(window.last)}, oseq ${hex(state.oseq)}, bitmap 0x${window.bitmap.toString(16).padStart(8, '0')}`,
    '',
  ].join('\n');
}
