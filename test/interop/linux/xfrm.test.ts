import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { UNLIMITED } from '../../../nodes/kernel/xfrm/lifetime.ts';
import { XfrmState, type XfrmStateOptions } from '../../../nodes/kernel/xfrm/state.ts';
import { stateText } from '../../../nodes/tools/ip/xfrm/text.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { parseIp } from '../../../protocols/ip.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { linuxTest, runs } from './suite.ts';

// A name, not a binary of a package's.
const IP = 'ip';

// ---- how a state is printed: the real ip reads what a kernel would have told it from a file

const XFRM_MSG_NEWSA = 0x10;
const AF = { inet: 2, inet6: 10 } as const;
const ATTRIBUTES = { crypt: 2, encap: 4, replay: 10, aead: 18, auth: 20, esn: 23 } as const;
const INFINITY = 0xffff_ffff_ffff_ffffn;

const le16 = (value: number) => [value & 0xff, value >> 8];
const le32 = (value: number) => [...Buffer.from(new Uint32Array([value]).buffer)];
const le64 = (value: bigint) => [...Buffer.from(new BigUint64Array([value]).buffer)];
const be16 = (value: number) => [value >> 8, value & 0xff];
const be32 = (value: number) => le32(value).reverse();
const zeros = (count: number): number[] => Array<number>(count).fill(0);

function address(value: IpAddress): number[] {
  return typeof value === 'number'
    ? [...be32(value), ...zeros(12)]
    : [...value].map((char) => char.charCodeAt(0));
}

const named = (name: string) => [...Buffer.from(name.padEnd(64, '\0'))];

function attribute(type: number, body: readonly number[]): number[] {
  const padding = (4 - (body.length % 4)) % 4;
  return [...le16(body.length + 4), ...le16(type), ...body, ...zeros(padding)];
}

/** A netlink message of a state as the kernel tells of it (include/uapi/linux/xfrm.h). */
function message(state: XfrmState): Uint8Array {
  const { src, dst, spi, reqid, mode, replayWindow, suite, esn, inner, encap, limits } = state.options;
  const family = typeof src === 'number' ? AF.inet : AF.inet6;
  const extended = esn === 'on' || replayWindow > 32;
  const limit = (value: number) => (value === Number.POSITIVE_INFINITY ? INFINITY : BigInt(value));
  const { softBytes, hardBytes, softPackets, hardPackets, softAdd, hardAdd, softUse, hardUse } = limits;
  const { bytes, packets, added, used } = state.lifetime;
  const seconds = (ms: number | null) => BigInt(Math.floor((ms ?? 0) / 1_000));
  const selector = [...zeros(40), ...le16(inner === 'any' ? 0 : family), ...zeros(14)];
  const info = [
    ...selector,
    ...address(dst),
    ...be32(spi),
    50,
    ...zeros(3),
    ...address(src),
    ...[softBytes, hardBytes, softPackets, hardPackets, softAdd, hardAdd, softUse, hardUse].flatMap((value) =>
      le64(limit(value)),
    ),
    ...[BigInt(bytes), BigInt(packets), seconds(added), seconds(used)].flatMap(le64),
    ...[0, state.replayed, state.failed].flatMap(le32),
    ...le32(0),
    ...le32(reqid),
    ...le16(family),
    mode === 'tunnel' ? 1 : 0,
    extended ? 0 : replayWindow,
    (inner === 'any' ? 0x20 : 0) | (esn === 'on' ? 0x80 : 0),
    ...zeros(7),
  ];
  assert.equal(info.length, 224);
  const icv = le32(8 * suite.icvLength);
  const key = (bytes: Uint8Array, ...between: readonly number[]) => [
    ...le32(8 * bytes.length),
    ...between,
    ...bytes,
  ];
  const algorithms =
    suite.type === 'gcm'
      ? attribute(ATTRIBUTES.aead, [
          ...named('rfc4106(gcm(aes))'),
          ...key(Buffer.concat([suite.key, suite.salt]), ...icv),
        ])
      : [
          ...attribute(ATTRIBUTES.auth, [...named(`hmac(${suite.hmac})`), ...key(suite.authKey, ...icv)]),
          ...attribute(ATTRIBUTES.crypt, [...named('cbc(aes)'), ...key(suite.key)]),
        ];
  const { window, oseq } = state;
  const words = window.words(Math.ceil(replayWindow / 32));
  const high = (value: number) => le32(Math.floor(value / 2 ** 32));
  const low = (value: number) => le32(value % 2 ** 32);
  const replay = extended
    ? attribute(ATTRIBUTES.esn, [
        ...le32(words.length),
        ...low(oseq),
        ...low(window.last),
        ...high(oseq),
        ...high(window.last),
        ...le32(replayWindow),
        ...words.flatMap(le32),
      ])
    : attribute(ATTRIBUTES.replay, [...low(oseq), ...low(window.last), ...le32(window.bitmap)]);
  const encapsulation =
    encap === null
      ? []
      : attribute(ATTRIBUTES.encap, [
          ...le16(2),
          ...be16(encap.sport),
          ...be16(encap.dport),
          0,
          0,
          ...address(encap.original),
        ]);
  const body = [...info, ...algorithms, ...encapsulation, ...replay];
  return Uint8Array.from([...le32(16 + body.length), ...le16(XFRM_MSG_NEWSA), ...zeros(10), ...body]);
}

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const suite = fc.oneof(
  fc.record({
    type: fc.constant('gcm' as const),
    key: fc.oneof(bytesOf(16), bytesOf(32)),
    salt: bytesOf(4),
    icvLength: fc.constantFrom(8, 12, 16),
  }),
  fc.record({
    type: fc.constant('cbc' as const),
    key: bytesOf(16),
    hmac: fc.constantFrom('sha1' as const, 'sha256' as const),
    authKey: bytesOf(20),
    icvLength: fc.constantFrom(12, 16),
  }),
);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const amount = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 2 ** 50 }));
const seconds = fc.nat(100_000);
const pair = fc.constantFrom(['10.0.0.1', '192.0.2.255'], ['fd00::1', '2001:db8::ffff']);
const options: fc.Arbitrary<XfrmStateOptions> = fc
  .record({
    ends: pair,
    spi: u32,
    reqid: u32,
    mode: fc.constantFrom('tunnel' as const, 'transport' as const),
    replayWindow: fc.constantFrom(1, 8, 32, 33, 64, 300, 4096),
    suite,
    esn: fc.constantFrom('on' as const, 'off' as const),
    inner: fc.constantFrom('own' as const, 'any' as const),
    encap: fc.option(fc.record({ sport: fc.nat(0xffff), dport: fc.nat(0xffff) })),
    limits: fc.oneof(
      fc.constant(UNLIMITED),
      fc.record({
        softBytes: amount,
        hardBytes: amount,
        softPackets: amount,
        hardPackets: amount,
        softAdd: seconds,
        hardAdd: seconds,
        softUse: seconds,
        hardUse: seconds,
      }),
    ),
  })
  .map(({ ends: [src = '', dst = ''], encap, ...rest }) => {
    const original = parseIp(src.includes(':') ? '::' : '0.0.0.0')!;
    return {
      ...rest,
      src: parseIp(src)!,
      dst: parseIp(dst)!,
      encap: encap === null ? null : { ...encap, original },
    };
  });

linuxTest(
  'ip xfrm state prints an association as the real ip does what the kernel tells of it',
  async (t) => {
    const file = join(temporaryFolder(t), 'netlink');
    fc.assert(
      fc.property(
        options,
        fc.array(fc.integer({ min: 1, max: 2 ** 34 }), { maxLength: 6 }),
        fc.nat(2 ** 34),
        fc.tuple(
          fc.nat(2 ** 40),
          fc.nat(2 ** 30),
          fc.nat(2 ** 31),
          fc.option(fc.nat(2 ** 31)),
          fc.nat(9),
          fc.nat(9),
        ),
        (given, sequences, oseq, [bytes, packets, added, used, replayed, failed]) => {
          const state = new XfrmState(given, added * 1_000);
          const most = given.esn === 'on' ? 2 ** 35 : 0xffff_ffff;
          for (const sequence of sequences)
            if (sequence <= most && state.window.mayTake(sequence)) state.window.take(sequence);
          state.oseq = Math.min(oseq, most);
          Object.assign(state.lifetime, { bytes, packets, used: used === null ? null : used * 1_000 + 7 });
          state.replayed = replayed;
          state.failed = failed;
          writeFileSync(file, message(state));
          const env = { ...process.env, TZ: 'UTC' };
          const real = (...args: string[]) =>
            execFileSync(IP, [...args, 'xfrm', 'monitor', 'file', file], { env, encoding: 'utf8' });
          assert.equal(stateText(state, 'shown', 'plain'), real());
          assert.equal(stateText(state, 'shown', 'statistics'), real('-s'));
        },
      ),
      runs(60, 1),
    );
    t.pass();
  },
);
