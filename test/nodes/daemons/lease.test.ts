import test from 'ava';
import fc from 'fast-check';
import {
  freeSubnets,
  isCompatible,
  leaseValue,
  parseLease,
  subnetRange,
} from '../../../nodes/daemons/flannel/lease.ts';
import { LeaseView } from '../../../nodes/daemons/flannel/lease-view.ts';
import type { LeaseFacts } from '../../../nodes/events/cluster.ts';
import { storeKeys } from '../../../nodes/store.ts';
import { formatIp4, formatPrefix, type Prefix, parsePrefix } from '../../../protocols/ip4.ts';

const prefix = (text: string): Prefix => parsePrefix(text)!;
const network = prefix('10.244.0.0/16');
const lease: LeaseFacts = {
  subnet: '10.244.5.0/24',
  publicIP: '192.168.0.1',
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
  expiresAt: 5000,
};
const key = storeKeys.flannelSubnet(lease.subnet);

test('the first subnet of the network is never given out, the last one is', (t) => {
  const { min, max } = subnetRange(network, 24);
  t.deepEqual([formatIp4(min), formatIp4(max)], ['10.244.1.0', '10.244.255.0']);
  t.false(isCompatible(network, 24, prefix('10.244.0.0/24')));
  t.true(isCompatible(network, 24, prefix('10.244.255.0/24')));
  t.false(isCompatible(network, 24, prefix('10.245.0.0/24')));
  t.false(isCompatible(network, 24, prefix('10.244.4.0/25')));
  const whole = subnetRange(prefix('0.0.0.0/0'), 8);
  t.deepEqual([formatIp4(whole.min), formatIp4(whole.max)], ['1.0.0.0', '255.0.0.0']);
});

test('the candidates are the first hundred that overlap no lease', (t) => {
  t.deepEqual(
    freeSubnets(network, 24, []).map(formatPrefix),
    Array.from({ length: 100 }, (_, i) => `10.244.${i + 1}.0/24`),
  );
  const len = fc.integer({ min: 18, max: 28 });
  const taken = fc.array(fc.record({ addr: fc.nat({ max: 0xffff }), len }), { maxLength: 40 });
  fc.assert(
    fc.property(taken, fc.integer({ min: 18, max: 26 }), (list, subnetLen) => {
      const others = list.map((one) => prefix(`${formatIp4(network.addr + one.addr)}/${one.len}`));
      const size = 2 ** (32 - subnetLen);
      const used = new Set<number>();
      for (const other of others) {
        for (let i = 0; i < 2 ** (32 - other.len); i++)
          used.add(Math.floor((other.addr - network.addr + i) / size));
      }
      const expected: string[] = [];
      for (let i = 1; i < 65_536 / size && expected.length < 100; i++) {
        if (!used.has(i)) expected.push(`${formatIp4(network.addr + i * size)}/${subnetLen}`);
      }
      t.deepEqual(freeSubnets(network, subnetLen, others).map(formatPrefix), expected);
    }),
    { numRuns: 50 },
  );
});

test('a lease survives the store', (t) => {
  t.deepEqual(parseLease(key, JSON.parse(JSON.stringify(leaseValue(lease)))), lease);
});

test('what is not the lease of its key is none', (t) => {
  const value = leaseValue(lease);
  t.is(parseLease('flannel.subnets.10-244-6-0-24', value), null);
  for (const field of ['subnet', 'PublicIP', 'BackendType', 'BackendData', 'expiresAt']) {
    t.is(parseLease(key, { ...value, [field]: undefined }), null);
    if (field !== 'BackendData') t.is(parseLease(key, { ...value, [field]: [] }), null);
  }
  t.is(parseLease(key, { ...value, PublicIP: '1.2.3' }), null);
  t.is(parseLease(storeKeys.flannelSubnet('10.244.5.1/24'), { ...value, subnet: '10.244.5.1/24' }), null);
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('subnet', 'PublicIP', 'BackendType', 'BackendData', 'expiresAt'),
        fc.anything(),
      ),
      (any) => {
        t.notThrows(() => parseLease(key, any));
      },
    ),
  );
});

test('a lease counts until it expires, and its row stays for who takes it over', (t) => {
  const view = new LeaseView();
  t.true(view.apply({ key, value: leaseValue(lease), revision: 4, cause: 0 }));
  t.deepEqual(view.allLive(4999), [lease]);
  t.deepEqual(view.allLive(5000), []);
  t.true(view.has(key));
  t.deepEqual(view.get(key), lease);
});

test('news older than what is known is no news', (t) => {
  const view = new LeaseView();
  view.wrote(lease, 10);
  t.false(view.apply({ key, value: null, revision: 9, cause: 0 }));
  t.true(view.has(key));
  t.true(view.apply({ key, value: null, revision: 11, cause: 0 }));
  t.false(view.has(key));
  t.is(view.revision(key), 11);
  t.false(view.apply({ key: 'ipam.blocks.x', value: {}, revision: 99, cause: 0 }));
});
