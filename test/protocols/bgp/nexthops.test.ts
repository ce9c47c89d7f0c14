import test from 'ava';
import fc from 'fast-check';
import {
  formatNextHop,
  formatNextHops,
  NextHopTable,
  resolvableNextHop,
  splitNextHop,
} from '../../../protocols/bgp/nexthops.ts';
import { ANY_IP6, parseIp6 } from '../../../protocols/ip6.ts';
import { parseScoped } from '../../../protocols/scoped-address.ts';

const GLOBAL = parseIp6('2001:db8::1')!;
const OTHER = parseIp6('2001:db8::2')!;
const LINK_LOCAL = parseIp6('fe80::1')!;

test('a next hop of IPv6 as RFC 2545 has it, and in the three ways that daemons send a link-local one by itself', (t) => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    // Sent; as it is resolved from a peer on eth1; from one that may be far away; as it is shown.
    [GLOBAL, GLOBAL, GLOBAL, '2001:db8::1'],
    [GLOBAL + LINK_LOCAL, `${GLOBAL}${LINK_LOCAL}%eth1`, GLOBAL, '2001:db8::1 fe80::1'],
    [LINK_LOCAL, `${LINK_LOCAL}%eth1`, `${LINK_LOCAL}%`, 'fe80::1'],
    [LINK_LOCAL + LINK_LOCAL, `${LINK_LOCAL}%eth1`, `${LINK_LOCAL}%`, 'fe80::1'],
    [ANY_IP6 + LINK_LOCAL, `${LINK_LOCAL}%eth1`, `${LINK_LOCAL}%`, 'fe80::1'],
    [GLOBAL + OTHER, GLOBAL, GLOBAL, '2001:db8::1'],
    [ANY_IP6 + OTHER, ANY_IP6 + OTHER, ANY_IP6 + OTHER, '::'],
  ];
  for (const [sent, near, far, shown] of cases) {
    t.is(resolvableNextHop(sent, 'eth1'), near);
    t.is(resolvableNextHop(sent, ''), far);
    t.is(formatNextHops(sent), shown);
    t.is(formatNextHop(near), shown.split(' ').slice(0, 1).join());
  }
  t.deepEqual(splitNextHop(`${GLOBAL}${LINK_LOCAL}%eth1`), {
    global: GLOBAL,
    linkLocal: LINK_LOCAL,
    zone: 'eth1',
  });
  t.deepEqual(splitNextHop(`${LINK_LOCAL}%eth1`), { global: null, linkLocal: LINK_LOCAL, zone: 'eth1' });
});

test('no bytes of a next hop are taken for an interface, whatever they are', (t) => {
  const bytes = fc
    .constantFrom(16, 32)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
  const percent = bytes.map((value) => value.map((byte, i) => (i === 16 ? 0x25 : byte)));
  fc.assert(
    fc.property(fc.oneof(bytes, percent), (value) => {
      const text = String.fromCharCode(...value);
      const { global } = splitNextHop(text);
      if (global !== null) t.is(global, text.slice(0, 16));
      const resolvable = resolvableNextHop(text, '');
      t.false(typeof resolvable === 'string' && splitNextHop(resolvable).zone === 'eth1');
      t.true(formatNextHop(resolvable).length > 1);
    }),
  );
});

test('the same link-local address on two links is two next hops, resolved and counted apart', (t) => {
  const asked: unknown[] = [];
  const table = new NextHopTable((addr) => {
    asked.push(addr);
    return addr === `${LINK_LOCAL}%eth1` ? { metric: 0 } : null;
  });
  const [one, two] = ['eth1', 'eth2'].map((zone) => table.get(resolvableNextHop(LINK_LOCAL, zone)));
  t.true(table.get(resolvableNextHop(LINK_LOCAL + LINK_LOCAL, 'eth1')) === one, 'interned');
  t.not(one, two);
  t.deepEqual([one?.metric, two?.metric], [0, null]);
  t.is(asked.length, 2);
});

test('an address with its zone', (t) => {
  t.deepEqual(parseScoped('fe80::1%eth1'), { addr: LINK_LOCAL, zone: 'eth1' });
  t.deepEqual(parseScoped('fe80::1'), { addr: LINK_LOCAL, zone: '' });
  t.deepEqual(parseScoped('10.0.0.1'), { addr: 0x0a000001, zone: '' });
  for (const text of ['fe80::1%', '2001:db8::1%eth1', '10.0.0.1%eth1', '%eth1', '', 'fe80::g'])
    t.is(parseScoped(text), null, text);
});
