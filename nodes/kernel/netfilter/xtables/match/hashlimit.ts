import { u16 } from '../../../../../protocols/bytes.ts';
import { type IpAddress, type IpFamily, maskIp } from '../../../../../protocols/ip.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../../../protocols/ipv4.ts';
import { netfilterOf } from '../../families.ts';
import type { Skb } from '../../skb.ts';
import { invalid, missing, usage, XtablesError } from '../error.ts';
import type { CompileContext, Given, MatchExtension } from '../extension.ts';
import { destinationOf, protoOf, sourceOf, transportOffset } from '../packet.ts';
import { once, parseMask, parseNumber } from '../values.ts';
import { formatRate, parseRate } from './rate.ts';

/** XT_HASHLIMIT_SCALE_v2: a rate is kept as the time of one packet, in millionths of a second. */
const SCALE = 1_000_000;
const DEFAULT_BURST = 5;
const MOST_BURST = 1_000_000;
/** Entries that a table holds where nothing is said. */
const DEFAULT_MAX = 65_536;

/** In the order in which they are printed. */
const MODES = ['srcip', 'srcport', 'dstip', 'dstport'] as const;
type Mode = (typeof MODES)[number];

/** Options about the table, as they are saved and listed. */
const TABLE_OPTIONS = ['htable-size', 'htable-max', 'htable-gcinterval', 'htable-expire'] as const;

interface Entry {
  /** Time worth of packets that it has left, millionths of a second. */
  credit: number;
  at: number;
  expires: number;
}

/** What rules of one name have in common: the first one says how it is. */
export interface HashlimitTable {
  /** By what the modes make of packets. */
  readonly entries: Map<string, Entry>;
  readonly modes: readonly Mode[];
  readonly srcMask: IpAddress;
  readonly dstMask: IpAddress;
  /** Time of one packet, and most that can be saved up, millionths of a second. */
  readonly each: number;
  readonly cap: number;
  /** ms */
  readonly expire: number;
  /** Most entries. */
  readonly most: number;
}

const SHARED_WITH = /--hashlimit-name (\S+)/;

/** The table of a name: that of the rules which have it already, or one that is new. */
function tableOf({ ns, family }: CompileContext, name: string, fresh: HashlimitTable): HashlimitTable {
  const { xtables } = netfilterOf(ns, family);
  const isUsed = xtables
    .tables()
    .some((table) =>
      table.chains().some((chain) => chain.rules.some(({ text }) => SHARED_WITH.exec(text)?.[1] === name)),
    );
  const table = (isUsed ? xtables.hashlimits.get(name) : undefined) ?? fresh;
  xtables.hashlimits.set(name, table);
  return table;
}

/** Credits of a millionth of a second: HZ * CREDITS_PER_JIFFY of a kernel of 250 or 1000 Hz, in xt_hashlimit.c. */
const CREDITS = (1_000n * 2n ** 37n) / BigInt(SCALE);

/** Credits of a time in the 64 bits that Linux has for them (`user2credits`). */
function credits(time: number): bigint {
  return BigInt.asUintN(64, BigInt(time) * CREDITS);
}

function modesOf(found: Given | undefined): Mode[] {
  const words = found === undefined ? [] : (found.values[0] ?? '').split(',');
  for (const word of words)
    if (!MODES.some((mode) => mode === word))
      throw usage(`hashlimit: Bad value for "--hashlimit-mode" option: "${found?.values[0] ?? ''}"`);
  return MODES.filter((mode) => words.includes(mode));
}

function maskLength(found: Given | undefined, family: IpFamily): number {
  const most = family === 'inet' ? 32 : 128;
  if (found === undefined) return most;
  const value = parseNumber(found.values[0] ?? '', 0, 255);
  if (value === null)
    throw usage(`hashlimit: bad value for option "${found.option}", or out of range (0-128).\n`);
  if (value > most) throw invalid();
  return value;
}

/** A token bucket for each address, or what else the mode tells packets apart by (xt_hashlimit.c). */
export const hashlimit: MatchExtension = {
  name: 'hashlimit',
  options: {
    '--hashlimit-upto': 1,
    '--hashlimit-above': 1,
    '--hashlimit': 1,
    '--hashlimit-burst': 1,
    '--hashlimit-mode': 1,
    '--hashlimit-name': 1,
    '--hashlimit-srcmask': 1,
    '--hashlimit-dstmask': 1,
    ...Object.fromEntries(TABLE_OPTIONS.map((name) => [`--hashlimit-${name}`, 1] as const)),
    '--hashlimit-rate-match': 0,
    '--hashlimit-rate-interval': 1,
  },
  bind(given, { family }) {
    const one = (name: string) => once('hashlimit', given, `--hashlimit-${name}`);
    if (one('rate-match') !== undefined || one('rate-interval') !== undefined)
      throw usage('hashlimit: --hashlimit-rate-match is not emulated');
    const upto = one('upto') ?? once('hashlimit', given, '--hashlimit');
    const over = one('above');
    if (upto !== undefined && over !== undefined)
      throw usage('hashlimit: option "--hashlimit-upto" cannot be used together with "--hashlimit-above".\n');
    const rate = upto ?? over;
    const named = one('name');
    if (named === undefined) throw missing('hashlimit', '--hashlimit-name');
    if (rate === undefined) throw usage('You have to specify --hashlimit');
    const text = rate.values[0] ?? '';
    if (/b\/s$/.test(text)) throw usage('hashlimit: rates of bytes are not emulated');
    const parsed = parseRate(text, SCALE);
    if (parsed === null) throw usage(`hashlimit: Bad value for "${rate.option}" option: "${text}"`);
    const { each, seconds } = parsed;
    const burstText = one('burst')?.values[0];
    const burst = burstText === undefined ? DEFAULT_BURST : parseNumber(burstText, 1, MOST_BURST);
    if (burst === null)
      throw usage(`bad value for option "--hashlimit-burst", or out of range (1-${MOST_BURST}).\n`);
    const above = (rate === over) !== rate.negated;
    const modes = modesOf(one('mode'));
    const [srcLength, dstLength] = [maskLength(one('srcmask'), family), maskLength(one('dstmask'), family)];
    const [srcMask, dstMask] = [srcLength, dstLength].map((length) => parseMask(String(length), family)!);
    const [name = ''] = named.values;
    const shown = formatRate(each, SCALE);
    const settings = new Map<string, number>();
    for (const option of TABLE_OPTIONS) {
      const found = one(option);
      if (found === undefined) continue;
      const value = parseNumber(found.values[0] ?? '');
      if (value === null)
        throw usage(`hashlimit: bad value for option "${found.option}", or out of range.\n`);
      settings.set(option, value);
    }
    const expire = settings.get('htable-expire') ?? seconds * 1_000;
    settings.set('htable-expire', expire);
    const whole = family === 'inet' ? 32 : 128;
    const extras = (dashes: string) => [
      ...TABLE_OPTIONS.flatMap((option) => {
        const value = settings.get(option);
        const usual =
          option === 'htable-expire' ? shown.seconds * 1_000 : option === 'htable-gcinterval' ? 1_000 : 0;
        return value === undefined || value === usual ? [] : [`${dashes}${option} ${value}`];
      }),
      ...(srcLength === whole ? [] : [`${dashes}srcmask ${srcLength}`]),
      ...(dstLength === whole ? [] : [`${dashes}dstmask ${dstLength}`]),
    ];
    const cost = credits(each);
    const full = credits(each * burst);
    const most = settings.get('htable-max') ?? DEFAULT_MAX;
    return {
      save: [
        `--hashlimit-${above ? 'above' : 'upto'} ${shown.text}`,
        `--hashlimit-burst ${burst}`,
        ...(modes.length === 0 ? [] : [`--hashlimit-mode ${modes.join(',')}`]),
        `--hashlimit-name ${name}`,
        ...extras('--hashlimit-'),
      ].join(' '),
      list: () =>
        [
          `limit: ${above ? 'above' : 'up to'} ${shown.text} burst ${burst}`,
          ...(modes.length === 0 ? [] : [`mode ${modes.join('-')}`]),
          ...extras(''),
        ].join(' '),
      check: () => {
        if (full < cost) throw new XtablesError('Numerical result out of range.', 1);
      },
      compile: (context) => {
        const table = tableOf(context, name, {
          entries: new Map(),
          modes,
          srcMask: srcMask!,
          dstMask: dstMask!,
          each,
          cap: (Number(full) / Number(cost)) * each,
          expire,
          most,
        });
        const { entries, cap } = table;
        const { rt } = context.ns.kernel;
        const ports = table.modes.includes('srcport') || table.modes.includes('dstport');
        return (skb) => {
          const at = ports ? portsAt(skb) : 0;
          const { now } = rt;
          const key = at < 0 ? null : keyOf(skb, table, at);
          let entry = key === null ? undefined : entries.get(key);
          if (entry !== undefined && entry.expires <= now) entry = undefined;
          if (key === null || (entry === undefined && isFull(table, now))) {
            skb.hotdrop = true;
            return false;
          }
          if (entry === undefined) {
            entry = { credit: cap, at: now, expires: 0 };
            entries.set(key, entry);
          } else entry.credit = Math.min(cap, entry.credit + (now - entry.at) * 1_000);
          entry.at = now;
          entry.expires = now + table.expire;
          if (entry.credit < table.each) return above;
          entry.credit -= table.each;
          return !above;
        };
      },
    };
  },
};

/** Where the ports are; 0: there are none of that protocol, -1: they are in another fragment, or cut off. */
function portsAt(skb: Skb): number {
  const proto = protoOf(skb);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP && proto !== 132 && proto !== 136) return 0;
  const at = transportOffset(skb);
  return at < 0 || at + 4 > skb.frame.length ? -1 : at;
}

function keyOf(skb: Skb, { modes, srcMask, dstMask }: HashlimitTable, at: number): string {
  let key = '';
  for (const mode of modes) {
    if (mode === 'srcip') key += `${maskIp(sourceOf(skb), srcMask)} `;
    else if (mode === 'dstip') key += `${maskIp(destinationOf(skb), dstMask)} `;
    else key += `${at === 0 ? 0 : u16(skb.frame, mode === 'srcport' ? at : at + 2)} `;
  }
  return key;
}

/** What has expired makes room. */
function isFull({ entries, most }: HashlimitTable, now: number): boolean {
  if (entries.size < most) return false;
  for (const [key, { expires }] of entries) if (expires <= now) entries.delete(key);
  return entries.size >= most;
}
