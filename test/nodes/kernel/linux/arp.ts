import { ARP_LEN, ARP_REPLY, ARP_REQUEST, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../../protocols/ethernet.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { type CaseGroup, type CaseStep, command, listen, send, show, wait } from './case.ts';
import { icmpEcho, ip, packet4 } from './frames4.ts';
import { udp } from './transport.ts';

/** Another neighbour's. */
const OTHER_MAC = 0x0200_0000_0003;

interface Arp {
  /** Sender and target. */
  readonly spa: string;
  readonly tpa: string;
  readonly sha?: number;
  readonly tha?: number;
  readonly to?: number;
  /** Bytes that stand for others, by their place in the packet. */
  readonly patch?: readonly (readonly [at: number, value: number])[];
  readonly length?: number;
}

function arp(op: number, { spa, tpa, sha = NEIGHBOR_MAC, tha = 0, to, patch = [], length }: Arp): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
  // Whoever says that he has no MAC address, or that of all, sends by one nevertheless.
  const from = sha === 0 || sha === BROADCAST_MAC ? NEIGHBOR_MAC : sha;
  writeEthernet(frame, to ?? ROUTER_MAC, from, ETHERTYPE_ARP);
  encodeArp(frame, ETH_HLEN, { op, sha, spa: ip(spa), tha, tpa: ip(tpa) });
  for (const [at, value] of patch) frame[ETH_HLEN + at] = value;
  return frame.subarray(0, ETH_HLEN + (length ?? ARP_LEN));
}

const request = (of: Arp) => arp(ARP_REQUEST, of);
const reply = (of: Arp) => arp(ARP_REPLY, of);
/** A request to all, as hosts send it. */
export const ask = (spa: string, tpa: string) => request({ spa, tpa, to: BROADCAST_MAC });
/** A request for the sender's own address. */
const announcement = (addr: string, sha = NEIGHBOR_MAC) =>
  request({ spa: addr, tpa: addr, sha, to: BROADCAST_MAC });

/** What makes a router look for a neighbour, and what makes a host answer one. */
export const datagram = (src: string, dst: string) => packet4({ src, dst, upper: udp(1_000, 53) });
export const echo = (src: string, dst: string) => packet4({ src, dst, upper: icmpEcho('request') });

export const NEIGHBORS = show('ip neigh');
export const V0 = 'ip addr add 10.0.1.1/24 dev v0';
export const W0 = 'ip addr add 10.0.2.1/24 dev w0';
const conf = (setting: string, dev = 'v0') => `sysctl -w net.ipv4.conf.${dev}.${setting}`;
const neigh = (setting: string, dev = 'v0') => `sysctl -w net.ipv4.neigh.${dev}.${setting}`;
export const KNOWN_2 = 'ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:02 dev w0 nud permanent';

/** A setting of each value in turn, and the same steps under each. */
const under = (setting: string, values: readonly number[], ...steps: readonly CaseStep[]): CaseStep[] =>
  values.flatMap((value) => [command(conf(`${setting}=${value}`)), ...steps]);

/** What once differed from Linux in `test/interop/linux/arp.test.ts`, and before it was generated. */
export const arpCases: CaseGroup = {
  name: 'arp',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  // Nothing happens because of time alone.
  first: ['v0', 'w0'].flatMap((dev) =>
    ['base_reachable_time_ms=3600000', 'retrans_time_ms=3600000', 'delay_first_probe_time=3600'].map(
      (value) => `sysctl -qw net.ipv4.neigh.${dev}.${value}`,
    ),
  ),
  cases: [
    {
      name: 'IEEE 802’s number for the hardware is taken for Ethernet’s, no other is',
      setUp: [V0],
      steps: [
        ...[6, 7].flatMap((hardware) => [
          send(0, request({ spa: `10.0.1.${hardware}`, tpa: '10.0.1.1', patch: [[1, hardware]] })),
        ]),
        NEIGHBORS,
      ],
    },
    {
      name: 'other protocols, lengths of addresses and operations than those of IPv4 over Ethernet are not answered',
      setUp: [V0],
      steps: [
        send(
          0,
          ...[
            [3, 6],
            [4, 8],
            [5, 16],
            [7, 3],
            [7, 8],
            [7, 0],
          ].map(([at = 0, value = 0]) => request({ spa: '10.0.1.2', tpa: '10.0.1.1', patch: [[at, value]] })),
          request({ spa: '10.0.1.2', tpa: '10.0.1.1', length: 27 }),
        ),
        NEIGHBORS,
      ],
    },
    {
      name: 'a sender whose MAC address is 0, or that of all, is answered and believed',
      setUp: [V0],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1', sha: 0 })),
        send(0, request({ spa: '10.0.1.3', tpa: '10.0.1.1', sha: BROADCAST_MAC })),
        NEIGHBORS,
      ],
    },
    {
      name: 'who probes an address before having one is answered, and not remembered; arp_ignore holds for him too',
      setUp: [V0],
      steps: [
        send(0, ask('0.0.0.0', '10.0.1.1')),
        send(0, ask('0.0.0.0', '10.0.1.9')),
        NEIGHBORS,
        command(conf('arp_ignore=8')),
        send(0, ask('0.0.0.0', '10.0.1.1')),
      ],
    },
    {
      name: 'a probe of an address that proxy ARP answers for is not answered',
      setUp: [V0, W0, conf('proxy_arp=1'), neigh('proxy_delay=0')],
      steps: [send(0, ask('0.0.0.0', '10.0.2.9')), send(0, ask('10.0.1.2', '10.0.2.9'))],
    },
    {
      name: 'requests for groups are not answered, nor for 127.0.0.1 but where route_localnet is set',
      setUp: [V0],
      steps: [
        send(0, ask('10.0.1.2', '224.0.0.1'), ask('10.0.1.2', '127.0.0.1')),
        send(0, request({ spa: '10.0.1.3', tpa: '10.0.1.1' })),
        send(0, reply({ spa: '10.0.1.3', tpa: '224.0.0.1' })),
        NEIGHBORS,
        command(conf('route_localnet=1')),
        send(0, ask('10.0.1.2', '127.0.0.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'an answer that was sent to all is no proof that its sender is there',
      setUp: [V0],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        send(0, reply({ spa: '10.0.1.2', tpa: '10.0.1.1', to: BROADCAST_MAC })),
        NEIGHBORS,
        send(0, reply({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'an answer that was sent to us is proof of its sender, whomever it answers',
      setUp: [V0],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        send(0, reply({ spa: '10.0.1.2', tpa: '10.0.1.99' })),
        NEIGHBORS,
        // What he asks later says nothing against it.
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'after locktime another MAC address is believed, before it is not',
      setUp: [V0, W0, neigh('locktime=1'), neigh('locktime=360000', 'w0')],
      steps: [
        ...([0, 1] as const).flatMap((port) => {
          const [spa, tpa] = [`10.0.${port + 1}.2`, `10.0.${port + 1}.1`];
          return [
            send(port, request({ spa, tpa })),
            wait(30),
            send(port, reply({ spa, tpa, sha: OTHER_MAC })),
            NEIGHBORS,
          ];
        }),
      ],
    },
    {
      name: 'a request is believed within locktime too',
      setUp: [V0, neigh('locktime=360000')],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1', sha: OTHER_MAC })),
        NEIGHBORS,
      ],
    },
    {
      name: 'an answer is believed within locktime where no MAC address is known yet',
      setUp: [V0, W0, KNOWN_2, neigh('locktime=360000')],
      steps: [
        send(1, datagram('10.0.2.2', '10.0.1.2')),
        send(0, reply({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'an announcement is believed within locktime, be it a request or an answer to oneself',
      setUp: [V0, neigh('locktime=360000')],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        send(0, announcement('10.0.1.2', OTHER_MAC)),
        NEIGHBORS,
        send(0, reply({ spa: '10.0.1.2', tpa: '10.0.1.2', tha: NEIGHBOR_MAC, to: BROADCAST_MAC })),
        NEIGHBORS,
        // For somebody else: an answer like others.
        send(
          0,
          reply({
            spa: '10.0.1.2',
            tpa: '10.0.1.2',
            sha: 0x0200_0000_0004,
            tha: 0x0200_0000_0005,
            to: BROADCAST_MAC,
          }),
        ),
        NEIGHBORS,
      ],
    },
    {
      name: 'a permanent neighbour is where it was put, whatever comes',
      setUp: [V0, 'ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:07 dev v0 nud permanent', neigh('locktime=0')],
      steps: [
        send(
          0,
          request({ spa: '10.0.1.2', tpa: '10.0.1.1' }),
          announcement('10.0.1.2'),
          reply({ spa: '10.0.1.2', tpa: '10.0.1.1' }),
        ),
        NEIGHBORS,
      ],
    },
    {
      name: 'an announcement of an address of another is answered where proxy ARP leads to it by another device',
      setUp: [V0, W0, conf('proxy_arp=1'), neigh('proxy_delay=0')],
      steps: [send(0, announcement('10.0.2.9')), NEIGHBORS],
    },
    {
      name: 'proxy ARP for private VLANs does not answer who announces himself',
      setUp: [V0, conf('proxy_arp_pvlan=1'), neigh('proxy_delay=0')],
      steps: [send(0, announcement('10.0.1.9')), send(0, ask('10.0.1.9', '10.0.1.8')), NEIGHBORS],
    },
    {
      name: 'who announces an address of the host’s own is not answered, unless accept_local is set',
      setUp: [V0],
      steps: [
        send(0, announcement('10.0.1.1')),
        command(conf('accept_local=1')),
        send(0, announcement('10.0.1.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'drop_gratuitous_arp: announcements are not heard',
      setUp: [V0],
      steps: [
        send(0, request({ spa: '10.0.1.2', tpa: '10.0.1.1' })),
        command(conf('drop_gratuitous_arp=1')),
        send(0, announcement('10.0.1.2', OTHER_MAC)),
        NEIGHBORS,
      ],
    },
    {
      name: 'addresses of many are answered, and have no entry',
      setUp: [V0],
      steps: [
        send(0, ask('10.0.1.255', '10.0.1.1')),
        send(0, ask('10.0.1.0', '10.0.1.1')),
        send(0, ask('224.0.0.5', '10.0.1.1')),
        send(0, ask('255.255.255.255', '10.0.1.1')),
        send(0, ask('0.1.2.3', '10.0.1.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'arp_accept: announcements and answers make an entry, of any subnet or of the device’s own',
      setUp: [V0],
      steps: [
        ...under(
          'arp_accept',
          [0, 1, 2],
          send(
            0,
            announcement('10.0.1.4'),
            announcement('192.168.7.7'),
            reply({ spa: '10.0.1.5', tpa: '10.0.1.99', to: BROADCAST_MAC }),
          ),
          NEIGHBORS,
          command('ip neigh flush dev v0'),
        ),
      ],
    },
    {
      name: 'arp_accept: what is sent to us alone is proof at once, of addresses of one alone',
      setUp: [V0, conf('arp_accept=1')],
      steps: [
        send(
          0,
          reply({ spa: '10.0.1.4', tpa: '10.0.1.1' }),
          reply({ spa: '10.0.1.255', tpa: '10.0.1.1' }),
          reply({ spa: '10.0.1.1', tpa: '10.0.1.1' }),
        ),
        // Neither answer nor announcement.
        send(0, ask('10.0.1.6', '10.0.1.7')),
        NEIGHBORS,
      ],
    },
    {
      name: 'arp_ignore: whose address it is, and whether who asks is of its subnet',
      setUp: [V0, W0, 'ip addr add 10.0.5.1/24 dev v0', 'ip addr add 10.0.1.77/32 dev lo scope host'],
      steps: [
        ...under(
          'arp_ignore',
          [0, 1, 2, 3, 8],
          ...['10.0.1.1', '10.0.2.1', '10.0.5.1', '10.0.1.77'].map((target) =>
            send(0, ask('10.0.1.9', target)),
          ),
        ),
        // The larger of all's and the device's own holds.
        command(conf('arp_ignore=0')),
        command(conf('arp_ignore=1', 'all')),
        send(0, ask('10.0.1.9', '10.0.2.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'arp_filter: an address is answered for by the device that leads to who asks',
      setUp: [V0, W0, conf('arp_filter=1', 'w0')],
      steps: [
        send(0, ask('10.0.1.9', '10.0.1.1')),
        send(1, ask('10.0.1.9', '10.0.1.1')),
        send(1, ask('10.0.2.9', '10.0.2.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'rp_filter: nobody is answered who is not to be heard of by that device',
      setUp: [V0, W0],
      steps: [
        send(1, ask('10.0.1.9', '10.0.2.1')),
        command(conf('rp_filter=1', 'w0')),
        send(1, ask('10.0.1.8', '10.0.2.1')),
        NEIGHBORS,
      ],
    },
    {
      name: 'proxy ARP is a router’s, and not for what is on the same segment',
      setUp: [V0, W0, conf('proxy_arp=1'), neigh('proxy_delay=0')],
      steps: [
        send(0, ask('10.0.1.9', '10.0.2.7')),
        send(0, ask('10.0.1.9', '10.0.1.7')),
        send(1, ask('10.0.2.9', '10.0.1.7')),
        send(0, ask('10.0.1.9', '172.16.0.1')),
        command(conf('forwarding=0')),
        send(0, ask('10.0.1.9', '10.0.2.7')),
        NEIGHBORS,
      ],
    },
    {
      name: 'proxy ARP takes its time, but for what is asked of it alone',
      setUp: [V0, W0, conf('proxy_arp=1'), neigh('proxy_delay=2')],
      steps: [
        send(0, request({ spa: '10.0.1.9', tpa: '10.0.2.7' })),
        send(0, ask('10.0.1.9', '10.0.2.8')),
        listen(60),
        NEIGHBORS,
      ],
    },
    {
      name: 'arp_announce: a host asks with the source of what waits, with one of the subnet, or with its best',
      setUp: [V0, W0, 'ip addr add 10.0.1.77/24 dev v0'],
      steps: [
        ...[0, 1, 2].flatMap((level) => [
          command(conf(`arp_announce=${level}`)),
          // Answers wait, from addresses of its own.
          ...['10.0.1.77', '10.0.2.1'].map((target, i) =>
            send(0, echo(`10.0.1.${10 * level + 20 + i}`, target)),
          ),
        ]),
      ],
    },
    {
      name: 'arp_notify: a device whose MAC address changes says so',
      setUp: [V0, conf('arp_notify=1')],
      steps: [
        command('ip link set v0 address 02:00:00:00:00:55'),
        command(conf('arp_notify=0')),
        command('ip link set v0 address 02:00:00:00:00:56'),
      ],
    },
    {
      name: 'who waits for a neighbour is told that there is none as its entry is deleted',
      setUp: [V0, W0, KNOWN_2],
      steps: [
        send(1, datagram('10.0.2.2', '10.0.1.9')),
        command('ip neigh del 10.0.1.9 dev v0'),
        NEIGHBORS,
        send(1, datagram('10.0.2.2', '10.0.1.9')),
      ],
    },
    {
      name: 'what waits goes out when its neighbour is heard of in any way',
      setUp: [V0, W0, KNOWN_2],
      steps: [
        send(1, datagram('10.0.2.2', '10.0.1.7')),
        send(1, datagram('10.0.2.2', '10.0.1.8')),
        send(1, datagram('10.0.2.2', '10.0.1.9')),
        send(0, ask('10.0.1.7', '10.0.1.1')),
        send(0, announcement('10.0.1.8')),
        send(0, reply({ spa: '10.0.1.9', tpa: '10.0.1.1', to: BROADCAST_MAC })),
        NEIGHBORS,
      ],
    },
    {
      name: 'echo requests to all are not answered, nor any where icmp_echo_ignore_all is set',
      setUp: [V0, 'ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent'],
      steps: [
        send(0, echo('10.0.1.2', '10.0.1.255')),
        command('sysctl -w net.ipv4.icmp_echo_ignore_broadcasts=0'),
        send(0, echo('10.0.1.2', '10.0.1.255')),
        command('sysctl -w net.ipv4.icmp_echo_ignore_all=1'),
        send(0, echo('10.0.1.2', '10.0.1.1')),
      ],
    },
  ],
};
