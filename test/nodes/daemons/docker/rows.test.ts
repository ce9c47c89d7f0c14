import test from 'ava';
import fc from 'fast-check';
import * as rows from '../../../../nodes/daemons/docker/swarm/rows.ts';
import * as services from '../../../../nodes/daemons/docker/swarm/service-rows.ts';
import type { StoreValue } from '../../../../nodes/store.ts';

const PARSERS = [
  rows.parseCluster,
  rows.parseNode,
  rows.parseNodeStatus,
  rows.parseLeader,
  rows.parseAllocator,
  rows.parseAddresses,
  rows.parseNetwork,
  rows.parsePeer,
  services.parseService,
  services.parseTask,
  services.parseTaskStatus,
] as const;

const PEER = {
  networkId: 'n',
  endpointId: 'e',
  address: '10.0.1.2',
  mac: '02:42:0a:00:01:02',
  vtep: '10.7.0.11',
  node: 'n1',
  names: ['web'],
};

test('a row that is none is none, whatever is in it', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      for (const parse of PARSERS) t.notThrows(() => parse(value as StoreValue));
    }),
  );
  // One that is nearly right: any of its fields is anything.
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(PEER)), fc.jsonValue(), (key, value) => {
      const parsed = rows.parsePeer({ peer: { ...PEER, [key]: value } })?.peer ?? null;
      if (parsed !== null)
        t.deepEqual(
          parsed.names.map((name) => typeof name),
          parsed.names.map(() => 'string'),
        );
    }),
  );
  t.deepEqual(rows.parsePeer({ peer: PEER }), { peer: PEER, lost: false });
});
