import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALL_NODES } from '../../../../protocols/ip6.ts';
import {
  enhancedPacket,
  interfaceDescription,
  LINKTYPE_ETHERNET,
  sectionHeader,
} from '../../../../protocols/pcapng.ts';
import { complaints, testWithTshark, tshark } from '../../../support/tshark.ts';
import { ip6, pinger, route, routed } from './lab.ts';

/** What Wireshark calls each kind of message that goes over the wires of the test below. */
const KINDS = [
  ['icmpv6.type == 135 && ipv6.src == ::', 'a claim to an address'],
  ['icmpv6.type == 135 && icmpv6.opt.type == 1', 'a solicitation'],
  ['icmpv6.type == 136', 'an advertisement'],
  ['icmpv6.type == 133', 'a router solicitation'],
  [
    'icmpv6.type == 134 && icmpv6.opt.mtu == 1400 && icmpv6.opt.prefix == 2001:db8:5::',
    'a router advertisement',
  ],
  ['icmpv6.type == 134 && icmpv6.opt.rdnss == 2001:db8::53', 'its DNS servers'],
  ['icmpv6.type == 128', 'an echo'],
  ['icmpv6.type == 129', 'its reply'],
  ['icmpv6.type == 1 && icmpv6.code == 4', 'port unreachable'],
  ['icmpv6.type == 1 && icmpv6.code == 0', 'no route'],
  ['icmpv6.type == 2 && icmpv6.mtu == 1280', 'packet too big'],
  ['icmpv6.type == 3', 'time exceeded'],
  ['icmpv6.type == 4', 'parameter problem'],
  ['ipv6.fragment', 'fragments'],
  ['ipv6.reassembled.length == 1408', 'put together'],
  ['tcp.flags.syn == 1 && ipv6', 'TCP'],
  ['udp && ipv6 && !icmpv6', 'UDP'],
] as const;

testWithTshark('Wireshark has nothing to say against what goes over the wires', async (t) => {
  const { net, a, b, r } = routed();
  const ping = pinger(a.kernel.root);
  const dst = ip6('2001:db8:2::2');
  ping.send('2001:db8:2::2', { ttl: 1 });
  ping.send('2001:db8:9::1');
  net.advance(100);
  r.kernel.root.setMtu('eth1', 1280);
  for (let i = 0; i < 2; i++) {
    ping.send('2001:db8:2::2', { size: 1400 });
    net.advance(100);
  }
  const udp = a.kernel.root.ipv6.udp.bind({ addr: ip6('::'), port: 0 }, () => {});
  udp.sendTo(dst, 9, new Uint8Array(7));
  b.kernel.root.ipv6.tcp.listen({ addr: ip6('::'), port: 80 }, (socket) => {
    socket.onData = (bytes) => socket.send(bytes);
  });
  const tcp = a.kernel.root.ipv6.tcp.connect({ src: ip6('::'), dst, port: 80 });
  tcp.onConnected = () => {
    tcp.send(new Uint8Array(3000));
    tcp.close();
  };
  a.kernel.root.ipv6.routes.set(route('2001:db8:2:1::/64', '2001:db8:1::1'));
  a.kernel.root.ipv6.layer.output(new Uint8Array(62), { src: ip6('::'), dst, proto: 99 });
  const device = r.kernel.root.device('eth0')!;
  const lifetimes = { validLifetime: 86_400, preferredLifetime: 14_400 };
  r.kernel.root.ipv6.ndp.send(
    device,
    {
      type: 'router-advert',
      hopLimit: 64,
      managed: false,
      otherConfig: true,
      preference: 'high',
      routerLifetime: 1800,
      reachableTime: 0,
      retransTimer: 0,
      options: {
        sourceMac: device.mac,
        mtu: 1400,
        prefixes: [{ prefix: ip6('2001:db8:5::'), len: 64, onLink: true, autonomous: true, ...lifetimes }],
        rdnss: [{ lifetime: 600, servers: [ip6('2001:db8::53'), ip6('2001:db8::54')] }],
      },
    },
    { src: device.inet6.linkLocal()!, dst: ALL_NODES, mac: null },
  );
  net.advance(5_000);

  const dir = mkdtempSync(join(tmpdir(), 'reroute-ipv6-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'ipv6.pcapng');
  const named = { linkType: LINKTYPE_ETHERNET, snapLength: 0, description: '', mac: 0, filter: '' };
  const segments = ['left', 'right'];
  writeFileSync(
    file,
    Buffer.concat([
      sectionHeader({ hardware: '', os: '', application: 'test', comment: '' }),
      ...segments.map((name) => interfaceDescription({ ...named, name })),
      ...net.frames.map(({ segment, frame }, at) =>
        enhancedPacket({
          interfaceId: segments.indexOf(segment),
          at,
          direction: 'none',
          length: frame.length,
          linkType: LINKTYPE_ETHERNET,
          data: frame,
          comment: '',
        }),
      ),
    ]),
  );
  const checked = ['ipv6.defragment', 'tcp.check_checksum', 'udp.check_checksum'].flatMap((option) => [
    '-o',
    `${option}:TRUE`,
  ]);
  // Both wires are in the capture, so that what is forwarded is there twice.
  checked.push('-o', 'tcp.analyze_sequence_numbers:FALSE');
  t.deepEqual(await complaints(file, ...checked), []);
  // One run counts the frames of each kind: `| 0.0 <> 7.9 | frames | bytes | frames | bytes …`.
  const filters = KINDS.map(([filter]) => filter).join(',');
  const table = await tshark(file, ...checked, '-q', '-z', `io,stat,0,${filters}`);
  const row = table.find((line) => line.includes('<>'))?.split('|') ?? [];
  for (const [i, [, what]] of KINDS.entries()) t.true(Number(row[2 + 2 * i]) > 0, what);
});
