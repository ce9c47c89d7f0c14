import test from 'ava';
import fc from 'fast-check';
import { AddressPool } from '../../../../nodes/daemons/docker/network/address-pool.ts';
import { LOCAL_POOLS, SubnetPools } from '../../../../nodes/daemons/docker/network/pools.ts';
import { PortAllocator } from '../../../../nodes/daemons/docker/network/port-allocator.ts';
import { formatIp4, formatPrefix, parsePrefix, prefixesOverlap } from '../../../../protocols/ip4.ts';

const prefix = (text: string) => parsePrefix(text)!;

test('a local bridge gives the lowest free address, and one given back is the next', (t) => {
  const pool = new AddressPool(prefix('192.168.0.0/29'), prefix('192.168.0.0/29'), 'lowest');
  const next = () => {
    const addr = pool.next();
    return addr === null ? null : formatIp4(addr);
  };
  pool.take(prefix('192.168.0.1/32').addr);
  t.deepEqual(
    [next(), next(), next(), next(), next()],
    ['.2', '.3', '.4', '.5', '.6'].map((end) => `192.168.0${end}`),
  );
  t.is(next(), null, 'the broadcast address is nobody’s');
  pool.release(prefix('192.168.0.4/32').addr);
  pool.release(prefix('192.168.0.3/32').addr);
  t.is(next(), '192.168.0.3');
  t.throws(() => pool.take(prefix('192.168.0.2/32').addr), { message: 'Address already in use' });
  t.throws(() => pool.take(prefix('192.168.1.2/32').addr), { message: 'Requested address is out of range' });
});

test('a swarm gives the next after the last, and a freed one only when it comes round', (t) => {
  const pool = new AddressPool(prefix('10.0.1.0/29'), prefix('10.0.1.0/29'), 'serial');
  const first = pool.next()!;
  pool.release(first);
  t.is(formatIp4(first), '10.0.1.1');
  t.deepEqual(
    Array.from({ length: 6 }, () => formatIp4(pool.next()!)),
    ['.2', '.3', '.4', '.5', '.6', '.1'].map((end) => `10.0.1${end}`),
  );
  t.is(pool.next(), null);
});

test('whatever is taken and given back, an allocator of addresses is like a naive one', (t) => {
  const subnet = prefix('10.9.8.0/28');
  const action = fc.oneof(
    fc.constant({ do: 'next' as const }),
    fc.record({ do: fc.constant('take' as const), at: fc.nat(17) }),
    fc.record({ do: fc.constant('release' as const), at: fc.nat(15) }),
  );
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 60 }),
      fc.constantFrom('10.9.8.0/28', '10.9.8.8/30'),
      (actions, range) => {
        const pool = new AddressPool(subnet, prefix(range), 'lowest');
        const taken = new Set([subnet.addr, subnet.addr + 15]);
        const inRange = Array.from({ length: 16 }, (_, i) => subnet.addr + i).filter((addr) =>
          prefixesOverlap(prefix(range), { addr, len: 32 }),
        );
        for (const one of actions) {
          if (one.do === 'next') {
            const expected = inRange.find((addr) => !taken.has(addr)) ?? null;
            t.is(pool.next(), expected);
            if (expected !== null) taken.add(expected);
          } else if (one.do === 'take') {
            const addr = subnet.addr + one.at;
            if (taken.has(addr) || one.at > 15) t.throws(() => pool.take(addr));
            else pool.take(addr);
            if (one.at <= 15) taken.add(addr);
          } else {
            pool.release(subnet.addr + one.at);
            if (one.at !== 0 && one.at !== 15) taken.delete(subnet.addr + one.at);
          }
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('default subnets come in the order of Docker, past what the host has routes to', (t) => {
  const pools = new SubnetPools(LOCAL_POOLS, 'lowest');
  const next = () => formatPrefix(pools.next([prefix('172.18.0.0/24'), prefix('0.0.0.0/0')]));
  const all: string[] = [];
  for (;;) {
    try {
      all.push(next());
    } catch (error) {
      t.is(
        (error as Error).message,
        'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
      );
      break;
    }
  }
  t.deepEqual(all.slice(0, 3), ['172.17.0.0/16', '172.19.0.0/16', '172.20.0.0/16']);
  t.deepEqual(
    all.slice(13, 16),
    ['172.31.0.0/16', '192.168.0.0/20', '192.168.16.0/20'],
    '172.17 to 172.31, 172.18 left out',
  );
  t.is(all.length, 15 - 1 + 16);
  pools.release(prefix('172.20.0.0/16'));
  pools.release(prefix('172.19.0.0/16'));
  t.is(next(), '172.19.0.0/16');
  t.throws(() => pools.take(prefix('172.20.0.0/14')), {
    message: 'Pool overlaps with other one on this address space',
  });
});

test('ports are given one after the other, and a taken one is refused in Docker’s words', (t) => {
  const ports = new PortAllocator();
  t.is(ports.request('0.0.0.0', 'tcp', 0), 32_768);
  t.is(ports.request('0.0.0.0', 'tcp', 0), 32_769);
  t.is(ports.request('0.0.0.0', 'udp', 0), 32_768);
  ports.release('0.0.0.0', 'tcp', 32_768);
  t.is(ports.request('0.0.0.0', 'tcp', 0), 32_770, 'not the freed one: they go round');
  t.is(ports.request('0.0.0.0', 'tcp', 8080), 8080);
  t.throws(() => ports.request('0.0.0.0', 'tcp', 8080), {
    message: 'Bind for 0.0.0.0:8080 failed: port is already allocated',
  });
  t.throws(() => ports.request('10.0.0.1', 'tcp', 8080), {
    message: 'Bind for 10.0.0.1:8080 failed: port is already allocated',
  });
  t.is(ports.request('10.0.0.1', 'udp', 8080), 8080);
  t.throws(() => ports.request('0.0.0.0', 'udp', 8080));
});
