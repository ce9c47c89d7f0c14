import type { CaseStep } from './case.ts';
import { send } from './case.ts';
import { type Packet4, packet4 } from './frames4.ts';
import { tcp, udp } from './transport.ts';

/** 10.0.1.1/24 at v0 and 10.0.2.1/24 at w0, with neighbours that are known. */
export const ROUTER: readonly string[] = ['v0', 'w0'].flatMap((dev, i) => [
  `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
  ...[2, 3].map(
    (host) => `ip neigh add 10.0.${i + 1}.${host} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
  ),
]);

const THROUGH = { src: '10.0.1.2', dst: '10.0.2.2', upper: udp(1_000, 53) };
export const SYN = tcp({ srcPort: 1_000, dstPort: 80, flags: ['syn'] });

/** A packet of 10.0.1.2 that is for 10.0.2.2. */
export const through = (packet: Partial<Packet4> = {}): CaseStep =>
  send(0, packet4({ ...THROUGH, ...packet }));
