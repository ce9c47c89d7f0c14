import test from 'ava';
import { type Candidate, sortDestinations } from '../../../nodes/tools/address-order.ts';
import { formatIp, parseIp } from '../../../protocols/ip.ts';

/** `DESTINATION SOURCE`, '-' for one that cannot be reached, '!' before the source where it is deprecated. */
function candidate(text: string): Candidate {
  const [dst = '', source = '-'] = text.split(' ');
  const plain = source.replace('!', '');
  return {
    peer: { addr: parseIp(dst)! },
    source: plain === '-' ? null : parseIp(plain),
    deprecated: source.startsWith('!'),
    prefix: dst.includes(':') ? 64 : 24,
  };
}

/** RFC 6724 §10.2, with the labels and precedences of RFC 3484 that glibc keeps. */
const CASES: readonly (readonly [what: string, ...inOrder: string[]])[] = [
  ['rule 1: what can be reached', '198.51.100.121 198.51.100.117', '2001:db8:1::1 -'],
  ['rule 2: matching scope', '198.51.100.121 198.51.100.117', '2001:db8:1::1 fe80::1'],
  ['rule 2, of IPv4', '2001:db8:1::1 2001:db8:1::2', '10.1.2.3 169.254.1.2'],
  ['rule 3: no deprecated source', '2001:db8:1::1 2001:db8:1::2', '2001:db8:2::1 !2001:db8:2::2'],
  ['rule 5: matching label', '2002:c633:6401::1 2002:c633:6401::2', '2001:db8:1::1 2002:c633:6401::2'],
  ['rule 5: a unique local address without one of its own', '10.1.2.3 10.1.2.4', 'fd00::1 2001:db8::1'],
  ['rule 6: IPv6 before IPv4', '2001:db8:1::1 2001:db8:1::2', '10.1.2.3 10.1.2.4'],
  ['rule 6: the loopback', '::1 ::1', '127.0.0.1 127.0.0.1'],
  ['rule 6: 6to4 after native', '2001:db8:1::1 2001:db8:1::2', '2002:c633:6401::1 2002:c633:6401::2'],
  ['rule 6 without sources', 'fd00::3 -', '192.168.0.3 -'],
  ['rule 8: smaller scope', 'fe80::1 fe80::2', '2001:db8:1::1 2001:db8:1::2'],
  ['rule 9: longest prefix', '2001:db8:1::1 2001:db8:1::2', '2001:db8:3ffe::1 2001:db8:3f44::2'],
  ['rule 9: of IPv4 within a network', '10.1.2.3 10.1.2.4', '10.1.2.9 10.1.2.4', '10.9.0.1 10.1.2.4'],
  ['rule 10: as they come', '10.8.0.1 10.1.2.4', '10.9.0.1 10.1.2.4'],
];

for (const [what, ...inOrder] of CASES)
  test(what, (t) => {
    const wanted = inOrder.map(candidate);
    const shown = (all: readonly Candidate[]) => all.map(({ peer }) => formatIp(peer.addr));
    t.deepEqual(shown(sortDestinations(wanted)), shown(wanted));
    if (!what.startsWith('rule 10')) t.deepEqual(shown(sortDestinations(wanted.toReversed())), shown(wanted));
  });
