import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { writeIpv4Header } from '../../../protocols/ipv4.ts';
import { writeUdp } from '../../../protocols/udp.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const IN = 9;
const MAC = 0x020000000000;

/** A router whose route to 10.9.0.0/16 goes out of several ports, by weights. */
function router(weights: readonly number[]) {
  const left: number[] = [];
  const kernel = new Kernel(new FakeWorld().runtime(), { timings, transmit: (port) => left.push(port) });
  const { root } = kernel;
  root.ipForward = true;
  for (const port of [IN, ...weights.keys()]) {
    root.addPort({ name: `eth${port}`, mac: MAC + port, mtu: 1500, port });
    root.setUp(`eth${port}`);
    root.addAddress(`eth${port}`, `10.0.${port}.1/24`);
    root.setNeighbor(`eth${port}`, ip(`10.0.${port}.2`), MAC + 100 + port);
  }
  const route = (dst: string, metric: number, ports: readonly (readonly [number, number])[]) =>
    root.routes.set({
      dst,
      type: 'unicast',
      protocol: 'bird',
      scope: 'global',
      metric,
      src: '',
      nexthops: ports.map(([port, weight]) => ({
        via: `10.0.${port}.2`,
        dev: `eth${port}`,
        onlink: false,
        weight,
      })),
    });
  route('10.9.0.0/16', 0, [...weights.entries()]);
  /** The ports that a flow's packets leave by. */
  const send = (flow: number, packets = 1): number[] => {
    for (let i = 0; i < packets; i++) {
      const frame = new Uint8Array(14 + 20 + 8 + 10).fill(i, 42);
      writeEthernet(frame, MAC + IN, 1, ETHERTYPE_IPV4);
      writeIpv4Header(frame, 14, {
        src: ip('10.0.9.2'),
        dst: ip('10.9.1.1'),
        proto: 17,
        ttl: 64,
        totalLength: 38,
        id: i,
      });
      writeUdp(frame, 34, ip('10.0.9.2'), ip('10.9.1.1'), 10_000 + flow, 53, 10, { checksum: 'compute' });
      kernel.receive(IN, frame);
    }
    return left.splice(0);
  };
  const spread = (flows = 3000): number[] => {
    const counts = weights.map(() => 0);
    for (let flow = 0; flow < flows; flow++) for (const port of send(flow)) counts[port]!++;
    return counts.map((count) => count / flows);
  };
  return { kernel, root, route, send, spread };
}

test('the packets of a flow stay on one path', (t) => {
  const { send } = router([1, 1, 1]);
  for (let flow = 0; flow < 50; flow++) {
    const ports = send(flow, 5);
    t.is(ports.length, 5);
    t.is(new Set(ports).size, 1);
  }
});

test('flows spread over the paths by their weights', (t) => {
  for (const weights of [
    [1, 1],
    [1, 1, 1, 1],
    [3, 1],
  ]) {
    const total = weights.reduce((sum, weight) => sum + weight);
    for (const [i, share] of router(weights).spread().entries()) {
      t.true(Math.abs(share - weights[i]! / total) < 0.05, `${weights}: ${i} has ${share}`);
    }
  }
});

test('a path without carrier takes its share all the same, unless such paths are to be ignored', (t) => {
  const { kernel, spread } = router([1, 1, 1]);
  kernel.setCarrier(1, 'down');
  const lost = spread();
  t.true(lost[0]! > 0.25 && lost[0]! < 0.4, 'the others take no more than theirs');
  kernel.root.sysctls.set('ipv4.conf.*.ignore_routes_with_linkdown', 1, 'all');
  kernel.setCarrier(1, 'up');
  kernel.setCarrier(1, 'down');
  const without = spread();
  t.is(without[1], 0);
  for (const port of [0, 2]) t.true(Math.abs(without[port]! - 0.5) < 0.05);
  kernel.setCarrier(1, 'up');
  t.true(spread()[1]! > 0.25);
});

test('without a usable path the next metric counts, then the shorter prefix, then nothing', (t) => {
  const { kernel, route, send } = router([1, 1, 1]);
  kernel.root.sysctls.set('ipv4.conf.*.ignore_routes_with_linkdown', 1, 'all');
  route('10.9.0.0/16', 0, [[0, 1]]);
  route('10.9.0.0/16', 10, [[1, 1]]);
  route('0.0.0.0/0', 0, [[2, 1]]);
  t.deepEqual(send(1), [0]);
  kernel.setCarrier(0, 'down');
  t.deepEqual(send(1), [1]);
  kernel.setCarrier(1, 'down');
  t.deepEqual(send(1), [2]);
  kernel.setCarrier(2, 'down');
  // The ICMP error goes back where the packet came from.
  t.deepEqual(send(1), [IN]);
  t.is(kernel.drops.get('no-route'), 1);
});

test('a loss of carrier is told once, and the routes stay', (t) => {
  const { kernel, root } = router([1, 1]);
  const told: string[] = [];
  kernel.onLinkChange = (device) => told.push(`${device.name} ${device.carrier}`);
  const routes = root.routes.list();
  kernel.setCarrier(0, 'down');
  kernel.setCarrier(0, 'down');
  kernel.setCarrier(0, 'up');
  t.deepEqual(told, ['eth0 false', 'eth0 true']);
  t.deepEqual(root.routes.list(), routes);
});

test('what comes in by a port without carrier is lost', (t) => {
  const { kernel, send } = router([1]);
  kernel.setCarrier(IN, 'down');
  t.deepEqual(send(1), []);
  t.is(kernel.drops.get('no-carrier'), 1);
});

test('by fib_multipath_hash_policy 0 all that two hosts send each other goes one way', (t) => {
  const { root, send } = router([1, 1, 1]);
  root.sysctls.set('ipv4.fib_multipath_hash_policy', 0);
  const ports = new Set(Array.from({ length: 100 }, (_, flow) => send(flow)).flat());
  t.is(ports.size, 1);
  root.sysctls.set('ipv4.fib_multipath_hash_policy', 1);
  t.is(new Set(Array.from({ length: 100 }, (_, flow) => send(flow)).flat()).size, 3);
});
