import { parseIp4 } from '../../ip4.ts';
import type { AttributeFields } from '../attributes.ts';
import {
  type ExtendedCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  type LargeCommunity,
  WellKnown,
} from '../community.ts';
import { PolicyError } from './config.ts';

const NAMES: Readonly<Record<string, number>> = {
  'no-export': WellKnown.noExport,
  'no-advertise': WellKnown.noAdvertise,
  'local-as': WellKnown.noExportSubconfed,
  'no-peer': WellKnown.noPeer,
  'graceful-shutdown': WellKnown.gracefulShutdown,
  'llgr-stale': WellKnown.llgrStale,
  'no-llgr': WellKnown.noLlgr,
  blackhole: WellKnown.blackhole,
};

/** One community that may be set: `65000:1`, a well-known name, `65000:1:2` (large), `rt:65000:1` (extended). */
export type Community =
  | { readonly type: 'standard'; readonly value: number }
  | { readonly type: 'large'; readonly value: LargeCommunity }
  | { readonly type: 'extended'; readonly value: ExtendedCommunity };

/** @throws PolicyError */
export function parseCommunity(text: string): Community {
  const known = NAMES[text.toLowerCase()];
  if (known !== undefined) return { type: 'standard', value: known };
  const parts = text.split(':');
  if (parts[0] === 'rt' || parts[0] === 'ro') {
    const value = extended(parts[0], parts.slice(1));
    if (value !== null) return { type: 'extended', value };
  } else if (parts.length === 2) {
    const [a, b] = parts.map((part) => number(part, 0xffff));
    if (a != null && b != null) return { type: 'standard', value: ((a << 16) | b) >>> 0 };
  } else if (parts.length === 3) {
    const [a, b, c] = parts.map((part) => number(part, 0xffffffff));
    if (a != null && b != null && c != null) return { type: 'large', value: [a, b, c] };
  }
  throw new PolicyError(
    `'${text}' is no community: write 65000:1, 65000:1:2, rt:65000:1 or a name such as no-export`,
  );
}

function number(text: string, limit: number): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= limit ? Number(text) : null;
}

/** RFC 4360 §3.1, §3.2; RFC 5668 */
function extended(
  kind: 'rt' | 'ro',
  [administrator = '', local = '', ...rest]: readonly string[],
): ExtendedCommunity | null {
  if (rest.length > 0) return null;
  const subtype = kind === 'rt' ? 2 : 3;
  const short = number(administrator, 0xffff);
  const long = number(local, 0xffffffff);
  if (short !== null && long !== null) return [((subtype << 16) | short) >>> 0, long];
  const value = number(local, 0xffff);
  const address = parseIp4(administrator);
  const asn = number(administrator, 0xffffffff);
  if (value === null || (address === null && asn === null)) return null;
  const [type, who] = address === null ? [2, asn ?? 0] : [1, address];
  return [((type << 24) | (subtype << 16) | (who >>> 16)) >>> 0, (((who & 0xffff) << 16) | value) >>> 0];
}

/** Whether a community matches: the same as for setting, and `*` for any part, `65000:*`, `65000:*:*`, `rt:65000:*`. */
export class CommunityPattern {
  readonly source: string;
  readonly #matches: (attributes: AttributeFields) => boolean;
  readonly #accepts: (text: string, kind: Community['type']) => boolean;

  /** @throws PolicyError */
  constructor(source: string) {
    this.source = source;
    const parts = source.split(':');
    if (!source.includes('*')) {
      const wanted = parseCommunity(source);
      const text = textOf(wanted);
      this.#accepts = (other, kind) => kind === wanted.type && other === text;
    } else {
      const type =
        parts[0] === 'rt' || parts[0] === 'ro' ? 'extended' : parts.length === 3 ? 'large' : 'standard';
      parseCommunity(source.replaceAll('*', '0'));
      this.#accepts = (other, kind) => {
        const have = other.split(':');
        return (
          kind === type &&
          have.length === parts.length &&
          parts.every((part, i) => part === '*' || part === have[i])
        );
      };
    }
    this.#matches = ({ communities, largeCommunities, extendedCommunities }) =>
      communities.some((value) => this.#accepts(standardText(value), 'standard')) ||
      largeCommunities.some((value) => this.#accepts(formatLargeCommunity(value), 'large')) ||
      extendedCommunities.some((value) => this.#accepts(formatExtendedCommunity(value), 'extended'));
  }

  isIn(attributes: AttributeFields): boolean {
    return this.#matches(attributes);
  }

  /** The communities without those that match. */
  without(attributes: AttributeFields): AttributeFields {
    return {
      ...attributes,
      communities: attributes.communities.filter((value) => !this.#accepts(standardText(value), 'standard')),
      largeCommunities: attributes.largeCommunities.filter(
        (value) => !this.#accepts(formatLargeCommunity(value), 'large'),
      ),
      extendedCommunities: attributes.extendedCommunities.filter(
        (value) => !this.#accepts(formatExtendedCommunity(value), 'extended'),
      ),
    };
  }
}

function standardText(value: number): string {
  return `${value >>> 16}:${value & 0xffff}`;
}

function textOf(community: Community): string {
  switch (community.type) {
    case 'standard':
      return standardText(community.value);
    case 'large':
      return formatLargeCommunity(community.value);
    case 'extended':
      return formatExtendedCommunity(community.value);
  }
}

/** The attributes with a community more, in ascending order where it is a standard one. */
export function withCommunity(attributes: AttributeFields, community: Community): AttributeFields {
  const text = textOf(community);
  switch (community.type) {
    case 'standard':
      if (attributes.communities.includes(community.value)) return attributes;
      return {
        ...attributes,
        communities: [...attributes.communities, community.value].sort((a, b) => a - b),
      };
    case 'large':
      if (attributes.largeCommunities.some((value) => formatLargeCommunity(value) === text))
        return attributes;
      return { ...attributes, largeCommunities: [...attributes.largeCommunities, community.value] };
    case 'extended':
      if (attributes.extendedCommunities.some((value) => formatExtendedCommunity(value) === text))
        return attributes;
      return { ...attributes, extendedCommunities: [...attributes.extendedCommunities, community.value] };
  }
}
