import fc from 'fast-check';
import type { AsPath, AsSegment } from '../../../protocols/bgp/as-path.ts';
import { type AttributeFields, NO_ATTRIBUTES, type Origin } from '../../../protocols/bgp/attributes.ts';
import type { ExtendedCommunity, LargeCommunity } from '../../../protocols/bgp/community.ts';
import { prefixKey, prefixMask } from '../../../protocols/ip4.ts';

export const u32 = fc.integer({ min: 0, max: 0xffffffff });
export const asn = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 65536, max: 0xffffffff }));

/** An address that a host can have. */
const hostAddress = fc
  .tuple(fc.integer({ min: 1, max: 223 }), fc.integer({ min: 0, max: 0xffffff }))
  .filter(([first]) => first !== 127)
  .map(([first, rest]) => first * 2 ** 24 + rest);

export const prefixKeys = fc
  .tuple(u32, fc.integer({ min: 0, max: 32 }))
  .map(([addr, len]) => prefixKey((addr & prefixMask(len)) >>> 0, len));

const segment: fc.Arbitrary<AsSegment> = fc.record({
  type: fc.constantFrom('set' as const, 'sequence' as const),
  asns: fc.array(asn, { minLength: 1, maxLength: 6 }),
});

export const asPath: fc.Arbitrary<AsPath> = fc.array(segment, { maxLength: 3 });

/** What a speaker may say of a route to a peer in its own AS: every attribute is allowed. */
export const attributeFields: fc.Arbitrary<AttributeFields> = fc.record({
  origin: fc.constantFrom<Origin>(0, 1, 2),
  asPath,
  nextHop: hostAddress,
  nextHop6: fc.constant(null),
  med: fc.option(u32),
  localPref: fc.option(u32),
  atomicAggregate: fc.boolean(),
  aggregator: fc.option(fc.record({ asn: asn.filter((n) => n !== 23456), address: u32 })),
  communities: fc.array(u32, { maxLength: 4 }),
  originatorId: fc.option(u32),
  clusterList: fc.array(u32, { maxLength: 3 }),
  extendedCommunities: fc.array(fc.tuple(u32, u32) as fc.Arbitrary<ExtendedCommunity>, { maxLength: 3 }),
  largeCommunities: fc.uniqueArray(fc.tuple(u32, u32, u32) as fc.Arbitrary<LargeCommunity>, {
    maxLength: 3,
    selector: (community) => community.join(),
  }),
  unknown: fc
    .uniqueArray(
      fc.record({
        flags: fc.constant(0xe0),
        type: fc.integer({ min: 33, max: 127 }),
        value: fc.uint8Array({ maxLength: 300 }),
      }),
      { maxLength: 2, selector: ({ type }) => type },
    )
    .map((list) => list.sort((a, b) => a.type - b.type)),
});

/** Attributes with a next hop and a path of these AS numbers, for tests that care for nothing else. */
export function route(
  nextHop: number,
  asns: readonly number[],
  rest: Partial<AttributeFields> = {},
): AttributeFields {
  const path: AsPath = asns.length === 0 ? [] : [{ type: 'sequence', asns }];
  return { ...NO_ATTRIBUTES, nextHop, asPath: path, ...rest };
}
