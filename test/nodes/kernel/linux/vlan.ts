import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, tagged } from '../../../../protocols/vlan.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, command, send, show } from './case.ts';
import { icmpEcho, packet4 } from './frames4.ts';
import { links, ofLink, PARENT, PORTS, request, script } from './stacked.ts';

/** Of a VLAN device that has one of its own. */
const OWN = 0x0200_0000_0006;
const BROADCAST = 0xffff_ffff_ffff;

type Tag = readonly [protocol: typeof ETHERTYPE_8021Q | typeof ETHERTYPE_8021AD, id: number];
const q = (id: number): Tag => [ETHERTYPE_8021Q, id];
const ad = (id: number): Tag => [ETHERTYPE_8021AD, id];
/** The tags, the outer one first, before a frame. */
const behind = (frame: Uint8Array, ...tags: readonly Tag[]): Uint8Array =>
  tags.reduceRight<Uint8Array>((inner, [protocol, id]) => tagged(inner, protocol, id, 3), frame);
const ping = (net: number, to: number, ...tags: readonly Tag[]) =>
  send(
    0,
    behind(
      packet4({ src: `10.0.${net}.2`, dst: `10.0.${net}.1`, to, upper: icmpEcho('request', 58) }),
      ...tags,
    ),
  );
const ask = (net: number, ...tags: readonly Tag[]) =>
  send(0, behind(request({ spa: `10.0.${net}.2`, tpa: `10.0.${net}.1` }), ...tags));

const vlan = (name: string, net: number, link: string, type: string): string[] => [
  `ip link add ${name} link ${link} ${type}`,
  `ip addr add 10.0.${net}.1/24 dev ${name}`,
  `ip link set ${name} up`,
  `ip neigh add 10.0.${net}.2 lladdr 02:00:00:00:00:02 dev ${name} nud permanent`,
];

/** VLAN devices on what is no bridge. */
export const vlanCases: CaseGroup = {
  name: 'vlan',
  kernel: 'guest',
  ports: PORTS.slice(0, 1),
  settle: settleIpId,
  cases: [
    {
      name: 'a VLAN device has what is tagged for it and its address, with the tags that it has itself',
      setUp: [
        'sysctl -w net.ipv4.conf.all.arp_ignore=1',
        'ip addr add 10.0.1.1/24 dev p0',
        'ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent',
        ...vlan('v5', 5, 'p0', 'type vlan id 5'),
        ...vlan('v6', 6, 'p0', 'address 02:00:00:00:00:06 type vlan id 6'),
        ...vlan('v7', 7, 'p0', 'type vlan id 5 protocol 802.1ad'),
        ...vlan('v8', 8, 'v7', 'type vlan id 5'),
      ],
      steps: [
        ...[1, 5, 6, 7, 8].flatMap((net) =>
          [[], [q(5)], [q(6)], [ad(5)], [ad(5), q(5)], [q(5), q(5)], [q(0), q(5)], [q(9)], [q(0)]].map(
            (tags) => ask(net, ...tags),
          ),
        ),
        ...[PARENT, OWN, BROADCAST].flatMap((to) => [
          ping(1, to),
          ping(5, to, q(5)),
          ping(6, to, q(6)),
          ping(8, to, ad(5), q(5)),
        ]),
        command('ip link set v7 down'),
        ask(7, ad(5)),
        ask(8, ad(5), q(5)),
        command('ip link set v5 down'),
        ask(5, q(5)),
        ask(1, q(5)),
      ],
    },
    {
      name: 'a VLAN device has a number that no other of its protocol has there',
      setUp: [],
      steps: [
        script(
          'ip link add v0 type vlan id 5',
          'ip link add v0 link p0 type vlan',
          'ip link add v0 link p0 type vlan id 4095',
          'ip link add v0 link p0 type vlan id 4096',
          'ip link add v0 link p0 type vlan id 70000',
          'ip link add v0 link p0 type vlan id 5 protocol 802.1x',
          'ip link add v0 link p0 type vlan id 0',
          'ip link add v1 link p0 type vlan id 0',
          'ip link add v1 link p0 type vlan id 0 protocol 802.1ad',
          'ip link add v2 link p0 mtu 1501 type vlan id 6',
          'ip link add v2 link p0 address 01:00:00:00:00:33 type vlan id 6',
          'ip link add v2 link lo type vlan id 6',
          'ip link add link p0 type vlan id 9',
          'ip link add link p0 name p0.10 type vlan id 10',
        ),
        show('ip -d link show type vlan', ofLink),
      ],
    },
    {
      name: 'a VLAN device goes up and down with the one below, has its address while it has that, and no larger MTU',
      setUp: [
        'ip link add v1 link p0 type vlan id 1',
        'ip link add v2 link p0 address 02:00:00:00:00:06 type vlan id 2',
        'ip link add v3 link v1 type vlan id 3',
      ],
      steps: [
        script(
          'ip link set v3 up',
          'ip link set v1 up',
          'ip link set v1 mtu 1501',
          'ip link set v1 mtu 1400',
        ),
        links('vlan'),
        script(
          'ip link set p0 mtu 1350',
          'ip link set p0 mtu 1500',
          'ip link set p0 address 02:00:00:00:00:a9',
          'ip link set p0 down',
          'ip link set v2 up',
        ),
        links('vlan'),
        script('ip link set p0 up', 'ip link set v1 down', 'ip link set v1 address 02:00:00:00:00:07'),
        links('vlan'),
        script(
          'ip link set p0 down',
          'ip link set p0 up',
          'ip link set p0 address 02:00:00:00:00:a8',
          'ip link set v1 address 02:00:00:00:00:a8',
          'ip link set p0 address 02:00:00:00:00:a7',
        ),
        links('vlan'),
        script('ip link del v1', 'ip link show v3'),
      ],
    },
  ],
};
