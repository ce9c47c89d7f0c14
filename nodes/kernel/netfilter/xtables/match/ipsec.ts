import { u16, u32 } from '../../../../../protocols/bytes.ts';
import { PROTO_ESP } from '../../../../../protocols/esp.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { extensionLength, NEXT_AH } from '../../../../../protocols/ipv6-headers.ts';
import type { Skb } from '../../skb.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { has, numberOf } from '../options.ts';
import { transportAt } from '../packet.ts';
import { listedSpan, type Span, savedSpan, spanOf, within } from '../span.ts';
import { once } from '../values.ts';
import { headerAt } from './extension-headers.ts';
import { requireProto } from './ports.ts';

const ALL = 0xffffffff;
/** Bytes that have to be there: SPI and sequence number; next header, length, reserved, SPI, sequence number. */
const ESP_HEADER = 8;
const AH_HEADER = 12;

/** SPIs as they are asked for; all of them are not printed. */
function spisOf(module: 'esp' | 'ah', given: readonly Given[]) {
  const span = spanOf(module, once(module, given, `--${module}spi`));
  const isAll = span === null || (span.from === 0 && span.to === ALL);
  const saved: Span | null = isAll ? null : span;
  const listed: Span | null = isAll && span?.negated !== true ? null : span;
  return { span, saved: savedSpan(`--${module}spi`, saved), listed: listedSpan('spi', listed) };
}

/** `-m esp`: the SPI of ESP (xt_esp.c). */
export const esp: MatchExtension = {
  name: 'esp',
  options: { '--espspi': 1 },
  bind(given, head) {
    const { span, saved, listed } = spisOf('esp', given);
    requireProto(head, PROTO_ESP);
    return {
      save: saved.join(''),
      list: () => ['esp', ...listed].join(' '),
      compile: () => (skb) => {
        const at = transportAt(skb, ESP_HEADER);
        return at >= 0 && within(span, u32(skb.frame, at));
      },
    };
  },
};

/** `-m ah`: the SPI of an authentication header (ipt_ah.c). */
export const ah: MatchExtension = {
  name: 'ah',
  options: { '--ahspi': 1 },
  bind(given, head) {
    const { span, saved, listed } = spisOf('ah', given);
    requireProto(head, NEXT_AH);
    return {
      save: saved.join(''),
      // The blank is libipt_ah's.
      list: () => `ah ${listed.join('')}`,
      compile: () => (skb) => {
        const at = transportAt(skb, AH_HEADER);
        return at >= 0 && within(span, u32(skb.frame, at + 4));
      },
    };
  },
};

/** The same of IPv6, where it is one of the extension headers (ip6t_ah.c). */
export const ah6: MatchExtension = {
  name: 'ah',
  options: { '--ahspi': 1, '--ahlen': 1, '--ahres': 0 },
  bind(given) {
    const { span, saved, listed } = spisOf('ah', given);
    const lengthGiven = once('ah', given, '--ahlen');
    const reserved = has('ah', given, '--ahres');
    const asked = lengthGiven === undefined ? 0 : numberOf('ah', lengthGiven);
    // No header has the length 0, and none is asked for by it.
    const length = asked === 0 ? null : asked;
    const negated = lengthGiven?.negated === true;
    const fits = ({ frame }: Skb, at: number) =>
      within(span, u32(frame, at + 4)) &&
      (length === null || (extensionLength(frame, at, NEXT_AH) === length) !== negated) &&
      (!reserved || u16(frame, at + 2) === 0);
    return {
      save: [
        ...saved,
        ...(length === null ? [] : [`${negated ? '! ' : ''}--ahlen ${length}`]),
        ...(reserved ? ['--ahres'] : []),
      ].join(' '),
      list: () => {
        const size = length === null ? '' : `length:${negated ? '!' : ''}${length}`;
        return `ah ${listed.join('')}${size}${reserved ? ' reserved' : ''}`;
      },
      compile: () => (skb) => {
        const at = headerAt(skb, NEXT_AH, AH_HEADER);
        return at >= ETH_HLEN && fits(skb, at);
      },
    };
  },
};
