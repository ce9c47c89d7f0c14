import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { DockerIngressPort } from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import { PortInUseError } from '../../../kernel/udp.ts';
import type { Firewall } from './firewall.ts';

/**
 * Ports of the routing mesh on the host (`programIngress` of libnetwork's service_linux.go): what comes to one goes by docker_gwbridge
 * to the ingress sandbox, whichever address of the host it came to, loopback's included.
 */
export class IngressFirewall {
  readonly #root: Netns;
  /** null with `iptables: false`. */
  readonly #firewall: Firewall | null;
  readonly #bridge: string;
  readonly #gateway: string;
  /** Services by port and protocol that have it, and what keeps others from it. */
  readonly #ports = new Map<string, { users: number; readonly listener: { close(): void } | null }>();

  /** `gateway`: address of the ingress sandbox on the bridge. */
  constructor(root: Netns, firewall: Firewall | null, bridge: string, gateway: string) {
    this.#root = root;
    this.#firewall = firewall;
    this.#bridge = bridge;
    this.#gateway = gateway;
  }

  publish(ports: readonly DockerIngressPort[]): void {
    this.#firewall?.startIngress(this.#bridge);
    if (this.#firewall !== null) this.#root.sysctls.set('ipv4.conf.*.route_localnet', 1, this.#bridge);
    for (const port of ports) {
      const key = keyOf(port);
      const known = this.#ports.get(key);
      if (known !== undefined) {
        known.users++;
        continue;
      }
      this.#firewall?.publishIngress(port, this.#gateway);
      this.#ports.set(key, { users: 1, listener: occupy(this.#root, port) });
    }
  }

  unpublish(ports: readonly DockerIngressPort[]): void {
    for (const port of ports) {
      const key = keyOf(port);
      const known = this.#ports.get(key);
      if (known === undefined || --known.users > 0) continue;
      this.#ports.delete(key);
      this.#firewall?.unpublishIngress(port, this.#gateway);
      known.listener?.close();
    }
  }
}

function keyOf({ proto, published }: DockerIngressPort): string {
  return `${published}/${proto}`;
}

/** A socket at a port whose packets are all translated before they come to it (`plumbProxy`). */
function occupy(root: Netns, { proto, published }: DockerIngressPort): { close(): void } | null {
  const local = { addr: parseIp4('0.0.0.0') ?? 0, port: published };
  try {
    if (proto === 'udp') return root.bindUdp(local, () => {});
    return proto === 'tcp' ? root.listenTcp(local, (socket) => socket.abort()) : null;
  } catch (error) {
    // libnetwork logs that, and goes on.
    if (error instanceof PortInUseError) return null;
    throw error;
  }
}
