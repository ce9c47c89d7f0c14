import { ARP_LEN, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { PACKET_ID, settleIpId } from '../../../interop/linux/settle.ts';
import { frameOf, NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { type CaseGroup, command, send, show, wait } from './case.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

interface Arp {
  readonly op: number;
  readonly spa: string;
  readonly tpa: string;
  readonly sha?: number;
  readonly to?: number;
}

function arp({ op, spa, tpa, sha = NEIGHBOR_MAC, to = ROUTER_MAC }: Arp): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(frame, to, sha, ETHERTYPE_ARP);
  encodeArp(frame, ETH_HLEN, { op, sha, spa: ip(spa), tha: 0, tpa: ip(tpa) });
  return frame;
}

const NEIGHBORS = show('ip neigh');

/** What once differed from Linux in `test/interop/linux/arp.test.ts`. */
export const arpCases: CaseGroup = {
  name: 'arp',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'an answer that was sent to all is no proof that its sender is there',
      setUp: ['ip addr add 10.0.1.1/24 dev v0'],
      steps: [
        send(0, arp({ op: 1, spa: '10.0.1.2', tpa: '10.0.1.1' })),
        send(0, arp({ op: 2, spa: '10.0.1.2', tpa: '10.0.1.1', to: BROADCAST_MAC })),
        NEIGHBORS,
        send(0, arp({ op: 2, spa: '10.0.1.2', tpa: '10.0.1.1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'after locktime another MAC address is believed, before it is not',
      setUp: [
        'ip addr add 10.0.1.1/24 dev v0',
        'sysctl -w net.ipv4.neigh.v0.locktime=1',
        'sysctl -w net.ipv4.neigh.w0.locktime=360000',
        'ip addr add 10.0.2.1/24 dev w0',
      ],
      steps: ([0, 1] as const).flatMap((port) => [
        send(port, arp({ op: 1, spa: `10.0.${port + 1}.2`, tpa: `10.0.${port + 1}.1` })),
        wait(30),
        send(
          port,
          arp({ op: 2, sha: 0x0200_0000_0003, spa: `10.0.${port + 1}.2`, tpa: `10.0.${port + 1}.1` }),
        ),
        NEIGHBORS,
      ]),
    },
    {
      name: 'who waits for a neighbour is told that there is none as its entry is deleted',
      setUp: [
        'ip addr add 10.0.1.1/24 dev v0',
        'ip addr add 10.0.2.1/24 dev w0',
        'ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:02 dev w0 nud permanent',
      ],
      steps: [
        send(
          1,
          frameOf(ip('10.0.2.2'), ip('10.0.1.9'), 17, Uint8Array.of(1, 2, 0, 7, 0, 8, 0, 0), PACKET_ID),
        ),
        command('ip neigh del 10.0.1.9 dev v0'),
        NEIGHBORS,
        send(
          1,
          frameOf(ip('10.0.2.2'), ip('10.0.1.9'), 17, Uint8Array.of(1, 2, 0, 7, 0, 8, 0, 0), PACKET_ID),
        ),
      ],
    },
  ],
};
