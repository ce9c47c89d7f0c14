import { settleIpId } from '../../../interop/linux/settle.ts';
import { ask, datagram, echo, KNOWN_2, NEIGHBORS, V0, W0 } from './arp.ts';
import { type CaseGroup, listen, send } from './case.ts';

/**
 * The states of neighbours as time goes by: the times are those that both have by themselves (arp(7)).
 * Steps end where nothing more is to come, so that a slow machine does not matter.
 */
export const neighborsInTimeCases: CaseGroup = {
  name: 'neighbors-in-time',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'a neighbour is asked for three times, a second apart; then it has failed, and who waits is told',
      setUp: [V0, W0, KNOWN_2],
      steps: [
        send(1, datagram('10.0.2.2', '10.0.1.9')),
        NEIGHBORS,
        listen(3_500),
        NEIGHBORS,
        send(1, datagram('10.0.2.2', '10.0.1.9')),
        NEIGHBORS,
      ],
    },
    {
      name: 'asked again, a neighbour is asked for with the source of the last that waits',
      setUp: [V0, 'ip addr add 10.0.1.77/24 dev v0'],
      steps: [send(0, echo('10.0.1.9', '10.0.1.1')), send(0, echo('10.0.1.9', '10.0.1.77')), listen(1_500)],
    },
    {
      name: 'a stale neighbour that is sent to is asked by itself after five seconds, three times, and then has failed',
      setUp: [V0],
      steps: [
        send(0, ask('10.0.1.9', '10.0.1.1')),
        NEIGHBORS,
        send(0, echo('10.0.1.9', '10.0.1.1')),
        NEIGHBORS,
        listen(8_700),
        NEIGHBORS,
      ],
    },
  ],
};
