import type { IpAddress } from '../../ip.ts';
import { prefixContains } from '../../ip4.ts';
import { IP6_LENGTH, maskIp6 } from '../../ip6.ts';
import { ipv6Key, keyAddress, keyLength, type PrefixKey, parseKey } from '../nlri.ts';
import { PolicyError, type PrefixRule } from './config.ts';

interface Rule {
  readonly key: PrefixKey;
  readonly least: number;
  readonly most: number;
}

/** Prefixes with bounds on how long what they cover may be. */
export class PrefixSet {
  readonly #rules: readonly Rule[];

  /** @throws PolicyError */
  constructor(rules: readonly PrefixRule[]) {
    this.#rules = rules.map(({ prefix, ge, le }) => {
      const key = parseKey(prefix);
      if (key === null) throw new PolicyError(`'${prefix}' is no prefix`);
      const own = keyLength(key);
      const longest = typeof key === 'number' ? 32 : 128;
      const least = ge ?? own;
      const most = le ?? (ge === undefined ? own : longest);
      if (least < own || most < least || most > longest) {
        throw new PolicyError(
          `${prefix}: ge and le have to lie between ${own} and ${longest}, ge not above le`,
        );
      }
      return { key, least, most };
    });
  }

  contains(key: PrefixKey): boolean {
    const len = keyLength(key);
    return this.#rules.some((rule) => len >= rule.least && len <= rule.most && covers(rule.key, key));
  }

  /** Whether one of the prefixes covers an address, whatever its bounds. */
  covers(addr: IpAddress): boolean {
    const host = typeof addr === 'number' ? addr * 64 + 32 : ipv6Key(addr, 128);
    return this.#rules.some(({ key }) => covers(key, host));
  }
}

function covers(outer: PrefixKey, inner: PrefixKey): boolean {
  const len = keyLength(outer);
  if (keyLength(inner) < len) return false;
  if (typeof outer === 'number') {
    return typeof inner === 'number' && prefixContains({ addr: keyAddress(outer), len }, keyAddress(inner));
  }
  return typeof inner === 'string' && maskIp6(inner.slice(0, IP6_LENGTH), len) === outer.slice(0, IP6_LENGTH);
}
