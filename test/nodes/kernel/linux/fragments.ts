import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, listen, send } from './case.ts';
import { fragment4, icmpEcho, type Packet4, piece4 } from './frames4.ts';
import { ROUTER } from './router4.ts';
import { udp } from './transport.ts';

/** An echo request of 64 bytes, of which pieces come. */
const ECHO = { src: '10.0.1.2', dst: '10.0.1.1', upper: icmpEcho('request', 56) };
/** A datagram of 64 bytes that is sent on. */
const THROUGH = { src: '10.0.1.2', dst: '10.0.2.2', upper: udp(1_000, 53, 56) };

type Range = readonly [start: number, end: number];
const pieces = (packet: Packet4, ...ranges: readonly Range[]): CaseStep =>
  send(0, ...ranges.map(([start, end]) => fragment4(packet, start, end)));
/** Each under an identification of its own. */
const each = (...lists: readonly (readonly Range[])[]): CaseStep[] =>
  lists.map((ranges, i) => pieces({ ...ECHO, id: 100 + i }, ...ranges));

const SOON = 'sysctl -w net.ipv4.ipfrag_time=1';
const FOLLOWED = [...ROUTER, 'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP'];
/** Longer than the time of fragments, ms. */
const LATE = 1_300;

/** What once differed from Linux in `test/interop/linux/fragments.test.ts`. */
export const fragmentsCases: CaseGroup = {
  name: 'fragments',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'what has come already is passed over, be it a part of fragments that came in a row',
      setUp: ROUTER,
      steps: each(
        [
          [0, 16],
          [0, 16],
          [16, 64],
        ],
        [
          [0, 16],
          [16, 32],
          [8, 24],
          [32, 64],
        ],
        [
          [16, 32],
          [0, 16],
          [16, 24],
          [32, 64],
        ],
        [
          [32, 64],
          [32, 64],
          [40, 64],
          [0, 32],
        ],
      ),
    },
    {
      name: 'a packet whose fragments overlap is given up, and what comes later is another',
      setUp: ROUTER,
      steps: each(
        [
          [0, 16],
          [8, 32],
          [16, 64],
        ],
        [
          [0, 16],
          [8, 32],
          [0, 32],
          [32, 64],
        ],
        // What lies across two fragments that came apart.
        [
          [16, 32],
          [0, 16],
          [8, 24],
          [32, 64],
        ],
        [
          [32, 64],
          [24, 64],
          [0, 32],
        ],
      ),
    },
    {
      name: 'a second end, or bytes behind it, give the packet up',
      setUp: ROUTER,
      steps: [
        send(
          0,
          fragment4(ECHO, 32, 64),
          piece4(ECHO, new Uint8Array(8), { offset: 64, more: true }),
          fragment4(ECHO, 0, 32),
        ),
        send(
          0,
          fragment4({ ...ECHO, id: 99 }, 0, 32),
          piece4({ ...ECHO, id: 99 }, new Uint8Array(8), { offset: 16, more: false }),
          fragment4({ ...ECHO, id: 99 }, 32, 64),
        ),
      ],
    },
    {
      name: 'of a fragment with more behind it only whole words of eight bytes count',
      setUp: ROUTER,
      steps: [pieces(ECHO, [0, 20], [16, 64]), pieces({ ...ECHO, id: 99 }, [0, 16], [16, 21], [16, 64])],
    },
    {
      name: 'congestion in a fragment is in the whole, others of ECN than that do not go together',
      setUp: ROUTER,
      steps: (
        [
          [2, 3],
          [1, 2],
          [1, 3],
          [0, 3],
          [0, 2],
          [0, 0],
          [3, 3],
        ] as const
      ).map(([one, other], i) =>
        send(
          0,
          fragment4({ ...ECHO, id: 100 + i, tos: one }, 0, 32),
          fragment4({ ...ECHO, id: 100 + i, tos: other }, 32, 64),
        ),
      ),
    },
    {
      name: 'who sends the first fragment and not the rest is told, by the host that it is for alone',
      setUp: [...ROUTER, SOON],
      steps: [
        pieces(ECHO, [0, 16], [32, 64]),
        pieces({ ...ECHO, id: 99 }, [16, 64]),
        pieces(THROUGH, [0, 16]),
        listen(LATE),
        pieces({ ...ECHO, id: 99 }, [0, 16]),
      ],
    },
    {
      name: 'of a first fragment that is not of whole words only these are quoted',
      setUp: [...ROUTER, SOON],
      steps: [pieces(ECHO, [0, 13]), pieces({ ...ECHO, id: 99 }, [0, 21]), listen(LATE)],
    },
    {
      name: 'conntrack keeps fragments back, and tells only for the host itself what did not come',
      setUp: [...FOLLOWED, SOON],
      steps: [
        pieces(ECHO, [0, 16], [32, 64]),
        pieces({ ...THROUGH, id: 99 }, [0, 16], [32, 64]),
        pieces({ ...THROUGH, id: 100 }, [0, 16], [32, 64], [16, 32]),
        listen(LATE),
      ],
    },
    {
      name: 'a packet of fragments with DF is too long for an MTU where the largest of them is, and goes on without DF',
      setUp: [...FOLLOWED, 'ip link set w0 mtu 68'],
      steps: [
        pieces({ ...THROUGH, df: true }, [0, 32], [32, 64]),
        pieces({ ...THROUGH, df: true, id: 99 }, [0, 56], [56, 64]),
      ],
    },
    {
      name: 'fragments are translated together, and leave as they came',
      setUp: [
        ...ROUTER,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.2.2:99',
        'iptables -t nat -A POSTROUTING -o w0 -j MASQUERADE',
      ],
      steps: [
        pieces({ ...THROUGH, dst: '10.96.0.10' }, [32, 64], [0, 24], [24, 32]),
        pieces({ ...THROUGH, dst: '10.96.0.10', id: 99 }, [0, 16], [8, 32], [32, 64]),
      ],
    },
  ],
};
