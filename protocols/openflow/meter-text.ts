import { FlowSyntaxError } from './match-text.ts';
import { type Band, METER, METER_FLAGS, type MeterSpec } from './meter.ts';

const FLAG_WORDS: Readonly<Record<string, number>> = {
  kbps: METER_FLAGS.KBPS,
  pktps: METER_FLAGS.PKTPS,
  burst: METER_FLAGS.BURST,
  stats: METER_FLAGS.STATS,
};

/**
 * A meter as ovs-ofctl(8) writes it: `meter=1,pktps,burst,band=type=drop,rate=100,burst_size=20`. For one that is only named,
 * `meter=1` or `meter=all` or nothing, `what` is 'id'.
 * @throws FlowSyntaxError
 */
export function parseMeter(text: string, what: 'spec' | 'id'): MeterSpec {
  const at = /(?:^|[\s,])bands?=/.exec(text);
  const head = at === null ? text : text.slice(0, at.index);
  let meter: number | null = null;
  let flags = 0;
  for (const word of head.split(/[\s,]+/).filter((one) => one !== '')) {
    const [name = '', value] = word.split('=');
    if (name === 'meter' && value !== undefined) {
      meter = value === 'all' ? METER.ALL : Number(value);
      if (value !== 'all' && (!/^\d+$/.test(value) || meter === 0 || meter > METER.MAX))
        throw new FlowSyntaxError('invalid value for meter');
    } else if (what === 'spec' && value === undefined && Object.hasOwn(FLAG_WORDS, name))
      flags |= FLAG_WORDS[name] ?? 0;
    else throw new FlowSyntaxError(`unknown keyword ${name}`);
  }
  if (what === 'id') return { meter: meter ?? METER.ALL, flags: 0, bands: [] };
  if (at === null) throw new FlowSyntaxError('must specify bands');
  if (meter === null) throw new FlowSyntaxError("must specify 'meter'");
  if ((flags & (METER_FLAGS.KBPS | METER_FLAGS.PKTPS)) === 0)
    throw new FlowSyntaxError("meter must specify either 'kbps' or 'pktps'");
  const bands = parseBands(text.slice(at.index + at[0].length), (flags & METER_FLAGS.BURST) !== 0);
  return { meter, flags, bands };
}

function parseBands(text: string, isBurst: boolean): Band[] {
  const parts: Map<string, string>[] = [];
  for (const word of text.split(/[\s,]+/).filter((one) => one !== '')) {
    const [name = '', value = ''] = word.split('=');
    if (name === 'type') parts.push(new Map());
    const part = parts.at(-1);
    if (part === undefined) throw new FlowSyntaxError("band must start with the 'type' keyword");
    if (!['type', 'rate', 'burst_size', 'prec_level'].includes(name))
      throw new FlowSyntaxError(`unknown keyword ${name}`);
    part.set(name, value);
  }
  return parts.map((part) => {
    const type = part.get('type');
    const rate = number(part, 'rate');
    const burst = number(part, 'burst_size');
    if (type !== 'drop' && type !== 'dscp_remark') throw new FlowSyntaxError(`field unknown value ${type}`);
    if (rate === 0) throw new FlowSyntaxError("band must have 'rate'");
    if (isBurst && burst === 0)
      throw new FlowSyntaxError("band must have 'burst_size' when 'burst' flag is set");
    if (!isBurst && burst !== 0)
      throw new FlowSyntaxError("band may have 'burst_size' only when 'burst' flag is set");
    if (type === 'drop') return { type, rate, burst };
    return { type, rate, burst, precedence: number(part, 'prec_level') };
  });
}

function number(part: ReadonlyMap<string, string>, name: string): number {
  const text = part.get(name) ?? '0';
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff) throw new FlowSyntaxError(`invalid ${name} "${text}"`);
  return value;
}

/** Its flags and its bands, a line each, as `dump-meters` shows them. */
export function formatMeter({ meter, flags, bands }: MeterSpec): string {
  const name = meter === METER.ALL ? 'all' : String(meter);
  const words = [`meter=${name}`, ...flagWords(flags), 'bands='];
  return [words.join(' '), ...bands.map((band) => bandWords(band, flags).join(' '))].join('\n');
}

/** In a line, as `parseMeter` reads it. */
export function meterLine({ meter, flags, bands }: MeterSpec): string {
  const words = [`meter=${meter}`, ...flagWords(flags)];
  return `${words.join(',')},bands=${bands.map((band) => bandWords(band, flags).join(',')).join(',')}`;
}

function flagWords(flags: number): string[] {
  return Object.keys(FLAG_WORDS).filter((word) => (flags & (FLAG_WORDS[word] ?? 0)) !== 0);
}

function bandWords(band: Band, flags: number): string[] {
  return [
    `type=${band.type}`,
    `rate=${band.rate}`,
    ...((flags & METER_FLAGS.BURST) === 0 ? [] : [`burst_size=${band.burst}`]),
    ...(band.type === 'drop' ? [] : [`prec_level=${band.precedence}`]),
  ];
}
