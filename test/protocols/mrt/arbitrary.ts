import fc from 'fast-check';
import { ipv6Key } from '../../../protocols/bgp/nlri.ts';
import { encodeUpdate } from '../../../protocols/bgp/update.ts';
import { mapIp4, parseIp6 } from '../../../protocols/ip6.ts';
import type { BgpMessage, MrtSession, StateChange } from '../../../protocols/mrt/bgp4mp.ts';
import type { MrtPeer } from '../../../protocols/mrt/peer.ts';
import type { PeerIndexTable, Rib, RibEntry } from '../../../protocols/mrt/table-dump-v2.ts';
import { asn, prefixKeys, u32 } from '../bgp/arbitrary.ts';

export const u16 = fc.integer({ min: 0, max: 0xffff });
/** A time of whole seconds in 32 bits, ms. */
export const seconds = u32.map((s) => s * 1000);
/** One of microseconds. */
export const microseconds = fc
  .tuple(u32, fc.integer({ min: 0, max: 999_999 }))
  .map(([s, us]) => s * 1000 + us / 1000);

export const ip6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => String.fromCharCode(...bytes));
export const address = fc.oneof(u32, ip6, fc.constant(mapIp4(0x0a000001)), fc.constant(parseIp6('::') ?? ''));

export const prefix6 = fc
  .tuple(ip6, fc.integer({ min: 0, max: 128 }))
  .map(([addr, len]) => ipv6Key(addr, len));
export const prefix = fc.oneof(prefixKeys, prefix6);

export const peer: fc.Arbitrary<MrtPeer> = fc.record({ identifier: u32, address, asn: u32 });

export const peerIndexTable: fc.Arbitrary<PeerIndexTable> = fc.record({
  kind: fc.constant('peer-index-table' as const),
  collector: u32,
  viewName: fc.string({ unit: 'grapheme', maxLength: 20 }),
  peers: fc.array(peer, { maxLength: 8 }),
});

const entry: fc.Arbitrary<RibEntry> = fc.record({
  peerIndex: u16,
  originatedAt: seconds,
  pathId: u32,
  attributes: fc.uint8Array({ maxLength: 300 }),
});

export const rib: fc.Arbitrary<Rib> = fc
  .record({
    kind: fc.constant('rib' as const),
    sequence: u32,
    prefix,
    cast: fc.constantFrom('unicast' as const, 'multicast' as const),
    pathIds: fc.constantFrom('none' as const, 'present' as const),
    entries: fc.array(entry, { maxLength: 5 }),
  })
  .map((made) =>
    made.pathIds === 'present'
      ? made
      : { ...made, entries: made.entries.map((each) => ({ ...each, pathId: 0 })) },
  );

const addresses = fc.oneof(fc.tuple(u32, u32), fc.tuple(ip6, ip6));

const session: fc.Arbitrary<MrtSession> = fc.oneof(
  fc.tuple(asn, asn, u16, addresses).map(([peerAs, localAs, interfaceIndex, [peerAddress, localAddress]]) => {
    return { asSize: 4 as const, peerAs, localAs, interfaceIndex, peerAddress, localAddress };
  }),
  fc.tuple(u16, u16, u16, addresses).map(([peerAs, localAs, interfaceIndex, [peerAddress, localAddress]]) => {
    return { asSize: 2 as const, peerAs, localAs, interfaceIndex, peerAddress, localAddress };
  }),
);

const state = fc.constantFrom('Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established');

export const stateChange: fc.Arbitrary<StateChange> = fc.record({
  kind: fc.constant('state-change' as const),
  session,
  oldState: state,
  newState: state,
});

export const bgpMessage: fc.Arbitrary<BgpMessage> = fc.record({
  kind: fc.constant('message' as const),
  session,
  direction: fc.constantFrom('received' as const, 'sent' as const),
  pathIds: fc.constantFrom('none' as const, 'present' as const),
  message: fc
    .uint8Array({ maxLength: 200 })
    .map((bytes) => encodeUpdate(new Uint8Array(0), bytes, new Uint8Array(0))),
});
