import { commonBits6, type Ip6, isLinkLocal, isMulticastIp6, LOOPBACK_IP6 } from '../../../protocols/ip6.ts';
import type { Device } from '../device.ts';
import type { Inet6Address } from './inet6-device.ts';

const SCOPE_LINK = 2;
const SCOPE_SITE = 5;
const SCOPE_GLOBAL = 14;

/**
 * The address to send from to a destination by a device (RFC 6724 §5, `ipv6_dev_get_saddr`): of that device alone to what is on the
 * link or to a group, else of any. Of those that are as good the first. Null: there is none.
 */
export function sourceAddress(dst: Ip6, out: Device, devices: readonly Device[], now: number): Ip6 | null {
  const near = isMulticastIp6(dst) || isLinkLocal(dst);
  const wanted = scopeOf(dst);
  const label = labelOf(dst);
  const orchid = isOrchid(dst);
  let best: Inet6Address | null = null;
  let bestScore = -1;
  for (const device of near && out.kind !== 'loopback' ? [out] : devices) {
    if (!device.up) continue;
    for (const address of device.inet6.addresses) {
      const { addr, dad, len, preferredUntil } = address;
      // Unlike in Linux ::1 does not go out: who has no address yet is told so.
      if (dad !== null || (address.scope === 'host' && out.kind !== 'loopback')) continue;
      if (addr === dst) return dst;
      // Rule 2: the smallest scope that is enough, else the largest. 3: preferred. 5: by the way out. 6: the same label; one that
      // is for cryptography alone to one of those. 8: the closest, as far as its prefix goes.
      const scope = scopeOf(addr);
      const preferred = preferredUntil === null || preferredUntil > now;
      const score =
        ((scope >= wanted ? 128 - scope : scope) << 12) |
        (Number(preferred) << 11) |
        (Number(device === out) << 10) |
        (Number(labelOf(addr) === label) << 9) |
        (Number(isOrchid(addr) === orchid) << 8) |
        Math.min(commonBits6(addr, dst), len);
      if (score > bestScore) {
        best = address;
        bestScore = score;
      }
    }
  }
  return best?.addr ?? null;
}

/** As numbers of multicast scopes; the loopback address is of a link (`__ipv6_addr_src_scope`). */
function scopeOf(addr: Ip6): number {
  const first = addr.charCodeAt(0);
  if (first === 0xff) return addr.charCodeAt(1) & 0x0f;
  if (first === 0xfe) {
    const second = addr.charCodeAt(1) & 0xc0;
    if (second === 0x80) return SCOPE_LINK;
    if (second === 0xc0) return SCOPE_SITE;
  }
  return addr === LOOPBACK_IP6 ? SCOPE_LINK : SCOPE_GLOBAL;
}

const MAPPED = `${'\0'.repeat(10)}\xff\xff`;
const COMPATIBLE = '\0'.repeat(12);

/** Of the policy table (RFC 6724 §2.1) as Linux has it (`ip6addrlbl_init_table`). */
function labelOf(addr: Ip6): number {
  const first = addr.charCodeAt(0);
  const second = addr.charCodeAt(1);
  if (first === 0x20) {
    if (second === 0x02) return 2;
    if (second !== 0x01) return 1;
    if (addr.charCodeAt(2) === 0 && addr.charCodeAt(3) === 0) return 6;
    return isOrchid(addr) ? 7 : 1;
  }
  if (first === 0) {
    if (addr === LOOPBACK_IP6) return 0;
    return addr.startsWith(MAPPED) ? 4 : addr.startsWith(COMPATIBLE) ? 3 : 1;
  }
  if ((first & 0xfe) === 0xfc) return 5;
  if (first === 0xfe && (second & 0xc0) === 0xc0) return 11;
  return first === 0x3f && second === 0xfe ? 12 : 1;
}

/** 2001:10::/28: names of keys, that nobody routes to (RFC 4843). */
function isOrchid(addr: Ip6): boolean {
  return addr.startsWith('\x20\x01\0') && (addr.charCodeAt(3) & 0xf0) === 0x10;
}
