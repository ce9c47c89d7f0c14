import { ARP_LEN, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { type CaseGroup, send, show } from './case.ts';

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
  ],
};
