import { ARP_LEN, ARP_REPLY, ARP_REQUEST, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../../protocols/ethernet.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseStep, show } from './case.ts';
import { ip } from './frames4.ts';

/** Two namespaces behind devices that stand on p0, the wire. */

export const PORTS = ['p0', 'p1', 'p2'].map((name, i) => ({ name, mac: 0x0200_0000_00a0 + i }));
export const [PARENT = 0, BEHIND_0 = 0, BEHIND_1 = 0] = PORTS.map(({ mac }) => mac);

/** Namespaces of a case: those of cases beside it have other names. */
export class Family {
  readonly #names: readonly string[];
  /** The first one's tools: `ip -n a0`. */
  readonly in0: string;
  readonly in1: string;

  constructor(letter: string) {
    this.#names = [`${letter}0`, `${letter}1`];
    [this.in0, this.in1] = [`ip -n ${letter}0`, `ip -n ${letter}1`];
  }

  /**
   * `types` are the words behind `ip link add` that make m0 of the first namespace and m1 of the second, which have 10.0.0.10
   * and 10.0.0.11; p0 has 10.0.0.1.
   */
  made(types: readonly string[]): string[] {
    return [
      // How often one is told of a better way is a question of time.
      `sysctl -w ${['all', 'default', 'p0'].map((dev) => `net.ipv4.conf.${dev}.send_redirects=0`).join(' ')}`,
      'ip addr add 10.0.0.1/24 dev p0',
      ...types.flatMap((type, i) => [
        `ip netns add ${this.#names[i]}`,
        `ip link add m${i} link p0 netns ${this.#names[i]} ${type}`,
        `ip -n ${this.#names[i]} addr add 10.0.0.1${i}/24 dev m${i}`,
        `ip -n ${this.#names[i]} link set m${i} up`,
      ]),
    ];
  }

  /** The same with p1 in the first namespace and p2 in the second, and with stations 10.0.1.2 and 10.0.2.2 there. */
  routing(types: readonly string[]): string[] {
    return [
      ...this.made(types),
      ...types.flatMap((_, i) => [
        `ip link set p${i + 1} netns ${this.#names[i]}`,
        `ip -n ${this.#names[i]} addr add 10.0.${i + 1}.1/24 dev p${i + 1}`,
        `ip -n ${this.#names[i]} link set p${i + 1} up`,
        `ip -n ${this.#names[i]} neigh add 10.0.${i + 1}.2 lladdr 02:00:00:00:00:02 dev p${i + 1} nud permanent`,
        `ip -n ${this.#names[i]} route add default via 10.0.0.1${1 - i}`,
        `ip route add 10.0.${i + 1}.0/24 via 10.0.0.1${i}`,
      ]),
    ];
  }
}

interface ArpFrame {
  readonly spa: string;
  readonly tpa: string;
  readonly from?: number;
  readonly to?: number;
  readonly tha?: number;
}

function arp(
  op: number,
  { spa, tpa, from = NEIGHBOR_MAC, to = BROADCAST_MAC, tha = 0 }: ArpFrame,
): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(frame, to, from, ETHERTYPE_ARP);
  encodeArp(frame, ETH_HLEN, { op, sha: from, spa: ip(spa), tha, tpa: ip(tpa) });
  return frame;
}

export const request = (of: ArpFrame) => arp(ARP_REQUEST, of);
export const reply = (of: ArpFrame & { readonly to: number }) => arp(ARP_REPLY, { tha: of.to, ...of });

/** `ip link` without what other settings of the kernel decide: numbers of links and of namespaces, queues, segments. */
export function ofLink(text: string): string {
  return text
    .replaceAll(
      /^\d+: | qdisc \S+| link-netnsid \d+| permaddr \S+| numrxqueues \d+| tso_max_size \d+| +$/gm,
      '',
    )
    .replaceAll(/@if\d+/g, '@elsewhere')
    .replaceAll(/^(p\d)@elsewhere/gm, '$1')
    .replaceAll(/ +/g, ' ')
    .trim();
}

/** Devices once their states are told, which is a worker's to do. */
export const links = (kind: string): CaseStep => show(`ip link show type ${kind}`, ofLink);

/**
 * Commands one after the other in one shell, each with what it says: in a guest every process takes its time. What they show of a
 * device must not be new.
 */
export const script = (...lines: readonly string[]): CaseStep =>
  show(`sh -c "${lines.map((line) => `${line} && echo taken`).join('; ')}"`, ofLink);
