import test from 'ava';
import fc from 'fast-check';
import {
  broadcastOf,
  formatIp4,
  formatPrefix,
  isLoopback,
  isMulticast,
  parseAddress,
  parseIp4,
  parsePrefix,
  prefixContains,
  prefixKey,
  prefixMask,
} from '../../protocols/ip4.ts';
import { eui64, formatIp6, LINK_LOCAL_PREFIX } from '../../protocols/ip6.ts';
import {
  BROADCAST_MAC,
  dockerMac,
  formatMac,
  isGroupMac,
  parseMac,
  readMac,
  writeMac,
} from '../../protocols/mac.ts';

const ip = fc.integer({ min: 0, max: 0xffffffff });
const mac = fc.maxSafeNat().map((n) => n % 2 ** 48);
const len = fc.integer({ min: 0, max: 32 });

test('an IPv4 address survives being written and read', (t) => {
  fc.assert(fc.property(ip, (addr) => t.is(parseIp4(formatIp4(addr)), addr)));
  t.is(formatIp4(0x0a0001fe), '10.0.1.254');
  t.is(parseIp4('255.255.255.255'), 0xffffffff);
});

test('what is no IPv4 address is null', (t) => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '-1.2.3.4',
    '1..2.3',
    '0x1.2.3.4',
    '1e1.2.3.4',
  ])
    t.is(parseIp4(text), null, text);
  fc.assert(
    fc.property(fc.string(), (text) => {
      const addr = parseIp4(text);
      return addr === null || formatIp4(addr) === text;
    }),
  );
});

test('a prefix survives being written and read, its host bits cleared', (t) => {
  fc.assert(
    fc.property(ip, len, (addr, len) => {
      const text = `${formatIp4(addr)}/${len}`;
      t.deepEqual(parseAddress(text), { addr, len });
      const prefix = parsePrefix(text)!;
      const size = 2 ** (32 - len);
      t.is(prefix.addr, Math.floor(addr / size) * size);
      t.deepEqual(parsePrefix(formatPrefix(prefix)), prefix);
      t.is(broadcastOf(prefix), prefix.addr + size - 1);
      t.true(prefixContains(prefix, addr));
    }),
  );
  t.deepEqual(parseAddress('10.0.0.1'), { addr: 0x0a000001, len: 32 });
  for (const text of [
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/a',
    '10.0.0/8',
    '/8',
    '10.0.0.0/8/8',
  ])
    t.is(parsePrefix(text), null, text);
});

test('membership in a prefix is that of its range', (t) => {
  fc.assert(
    fc.property(ip, len, ip, (addr, len, probe) => {
      const size = 2 ** (32 - len);
      const first = Math.floor(addr / size) * size;
      t.is(prefixContains({ addr: first, len }, probe), probe >= first && probe < first + size);
    }),
  );
  t.is(prefixMask(0), 0);
  t.is(prefixMask(22), 0xfffffc00);
});

test('keys of prefixes differ where the prefixes do', (t) => {
  fc.assert(
    fc.property(ip, len, ip, len, (a, aLen, b, bLen) => {
      t.is(prefixKey(a, aLen) === prefixKey(b, bLen), a === b && aLen === bLen);
    }),
  );
});

test('the special ranges', (t) => {
  t.deepEqual(
    ['223.255.255.255', '224.0.0.0', '239.255.255.255', '240.0.0.0'].map((a) => isMulticast(parseIp4(a)!)),
    [false, true, true, false],
  );
  t.deepEqual(
    ['126.255.255.255', '127.0.0.0', '127.255.255.255', '128.0.0.0'].map((a) => isLoopback(parseIp4(a)!)),
    [false, true, true, false],
  );
});

test('a MAC address survives being written and read, as text and as bytes', (t) => {
  fc.assert(
    fc.property(mac, (address) => {
      t.is(parseMac(formatMac(address)), address);
      const bytes = new Uint8Array(8).fill(0xaa);
      writeMac(bytes, 1, address);
      t.is(readMac(bytes, 1), address);
      t.deepEqual([bytes[0], bytes[7]], [0xaa, 0xaa]);
      t.is(
        formatMac(address),
        Array.from(bytes.subarray(1, 7), (b) => b.toString(16).padStart(2, '0')).join(':'),
      );
      t.is(isGroupMac(address), (bytes[1]! & 1) === 1);
    }),
  );
  t.is(formatMac(BROADCAST_MAC), 'ff:ff:ff:ff:ff:ff');
  t.is(parseMac('02:42:AC:11:00:02'), 0x0242ac110002);
  for (const text of [
    '',
    '02:42:ac:11:00',
    '02:42:ac:11:00:02:03',
    '02-42-ac-11-00-02',
    '2:42:ac:11:0:2',
    '0g:00:00:00:00:00',
  ])
    t.is(parseMac(text), null, text);
});

test('Docker derives the MAC from the address', (t) => {
  t.is(formatMac(dockerMac(parseIp4('172.17.0.2')!)), '02:42:ac:11:00:02');
  t.is(formatMac(dockerMac(0xffffffff)), '02:42:ff:ff:ff:ff');
});

test('link-local addresses by modified EUI-64', (t) => {
  // RFC 2464 §4 gives the interface identifier of 34-56-78-9A-BC-DE as 36-56-78-FF-FE-9A-BC-DE.
  t.is(formatIp6(eui64(LINK_LOCAL_PREFIX, 0x3456789abcde)), 'fe80::3656:78ff:fe9a:bcde');
  t.is(formatIp6(eui64(LINK_LOCAL_PREFIX, 0x0242ac110002)), 'fe80::42:acff:fe11:2');
  t.is(formatIp6(eui64(LINK_LOCAL_PREFIX, 0xeeeeeeeeeeee)), 'fe80::ecee:eeff:feee:eeee');
  // A first group of the identifier that is zero joins the zeros before it (RFC 5952 §4.2.1).
  t.is(formatIp6(eui64(LINK_LOCAL_PREFIX, 0x020000000001)), 'fe80::ff:fe00:1');
});

test('an IPv4 address is four decimal octets and nothing else', (t) => {
  const part = fc.oneof(
    fc.nat(300).map(String),
    fc.constantFrom('', '0', '00', '01', '-1', '1e1', ' 1', '٣'),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 3, maxLength: 5 }), (parts) => {
      const octets = parts.map(Number);
      const valid =
        parts.length === 4 && parts.every((each, i) => /^(0|[1-9]\d*)$/.test(each) && octets[i]! < 256);
      const expected = valid ? octets.reduce((sum, octet) => sum * 256 + octet) : null;
      t.is(parseIp4(parts.join('.')), expected);
    }),
  );
});
