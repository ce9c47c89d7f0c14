import { formatIp4, formatPrefix, parsePrefix } from '../../../../../protocols/ip4.ts';
import { dockerMac } from '../../../../../protocols/mac.ts';
import type { DockerConfig } from '../../../../config.ts';
import type { DockerNetworkFacts, DockerPortBinding } from '../../../../events/docker.ts';
import type { Kernel } from '../../../../kernel/kernel.ts';
import type { Runtime } from '../../../../runtime.ts';
import { randomHex, randomMac } from '../../../random-names.ts';
import { DockerError } from '../../error.ts';
import { type EndpointPlan, gatewayOf, type JoinInfo, type NetworkDriver } from '../driver.ts';
import type { BridgeRules, Firewall } from '../firewall.ts';

const BRIDGE_NAME = 'com.docker.network.bridge.name';
const ENABLE_ICC = 'com.docker.network.bridge.enable_icc';
const ENABLE_MASQUERADE = 'com.docker.network.bridge.enable_ip_masquerade';
const HOST_BINDING = 'com.docker.network.bridge.host_binding_ipv4';
const MTU = 'com.docker.network.driver.mtu';
const DEFAULT_BRIDGE = 'com.docker.network.bridge.default_bridge';

const DEFAULT_MTU = 1500;

/** Options of the network `bridge`. */
export function defaultBridgeOptions({ icc, mtu }: DockerConfig): Record<string, string> {
  return {
    [DEFAULT_BRIDGE]: 'true',
    [ENABLE_ICC]: String(icc),
    [ENABLE_MASQUERADE]: 'true',
    [HOST_BINDING]: '0.0.0.0',
    [BRIDGE_NAME]: 'docker0',
    [MTU]: String(mtu),
  };
}

/** Options of docker_gwbridge. */
export function gatewayBridgeOptions(name: string): Record<string, string> {
  return { [ENABLE_ICC]: 'false', [ENABLE_MASQUERADE]: 'true', [BRIDGE_NAME]: name };
}

/** `docker0`, and `br-` with the beginning of the id for the others. */
export function bridgeName(network: DockerNetworkFacts): string {
  return network.options[BRIDGE_NAME] ?? `br-${network.id.slice(0, 12)}`;
}

function flag(network: DockerNetworkFacts, option: string): boolean {
  return network.options[option] !== 'false';
}

/** The bridge driver: a Linux bridge with the gateway's address, a veth pair for every container. */
export class BridgeDriver implements NetworkDriver {
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  /** null with `iptables: false`. */
  readonly #firewall: Firewall | null;
  /** 'bridge' where no proxy takes what a container sends to its own published port: it comes back by the port it came by. */
  readonly #hairpin: 'bridge' | 'proxy';
  /** The host's end of the pair, by endpoint. */
  readonly #veths = new Map<string, string>();

  constructor(rt: Runtime, kernel: Kernel, firewall: Firewall | null, hairpin: 'bridge' | 'proxy') {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#firewall = firewall;
    this.#hairpin = hairpin;
  }

  validate(network: DockerNetworkFacts): void {
    for (const option of [ENABLE_ICC, ENABLE_MASQUERADE]) {
      const value = network.options[option];
      if (value !== undefined && !/^(1|t|T|true|TRUE|True|0|f|F|false|FALSE|False)$/.test(value))
        throw new DockerError(
          `failed to parse ${option} value: ${JSON.stringify(value)} (strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax)`,
        );
    }
    const mtu = network.options[MTU];
    if (mtu !== undefined && !/^\d+$/.test(mtu))
      throw new DockerError(
        `failed to parse ${MTU} value: ${JSON.stringify(mtu)} (strconv.Atoi: parsing ${JSON.stringify(mtu)}: invalid syntax)`,
      );
    const name = bridgeName(network);
    if (name.length > 15)
      throw new DockerError(`interface name ${name} is longer than the 15 characters of IFNAMSIZ`);
    const device = this.#kernel.root.device(name);
    if (device !== undefined && device.kind !== 'bridge')
      throw new DockerError(`failed to check bridge interface existence: ${name} is no bridge`);
  }

  createNetwork(network: DockerNetworkFacts): void {
    const { root } = this.#kernel;
    const name = bridgeName(network);
    if (root.device(name) === undefined) {
      // netutils.GenerateRandomMAC
      const mac = dockerMac(Number.parseInt(randomHex(this.#rt.random, 8), 16));
      root.addBridge({ name, mac, mtu: this.#mtu(network) });
    }
    root.ipForward = true;
    for (const { subnet, gateway } of network.ipam) {
      const prefix = parsePrefix(subnet);
      if (prefix !== null && gateway !== '') root.addAddress(name, `${gateway}/${prefix.len}`);
    }
    // What the host sends to a published port from its loopback is translated then (`setupLoopbackAddressesRouting`).
    if (this.#hairpin === 'bridge') root.sysctls.set('ipv4.conf.*.route_localnet', 1, name);
    for (const rules of this.#rules(network)) this.#firewall?.addBridge(rules);
    root.setUp(name);
  }

  deleteNetwork(network: DockerNetworkFacts): void {
    const name = bridgeName(network);
    for (const rules of this.#rules(network)) this.#firewall?.removeBridge(rules);
    if (this.#kernel.root.device(name) !== undefined) this.#kernel.root.removeDevice(name);
  }

  join(plan: EndpointPlan): JoinInfo {
    const { network, ns, ifname, address } = plan;
    if (address === null) throw new DockerError('invalid interface address: none given');
    const { root } = this.#kernel;
    const host = `veth${randomHex(this.#rt.random, 7)}`;
    const mac = plan.mac === 0 ? dockerMac(address.addr) : plan.mac;
    const mtu = this.#mtu(network);
    root.addVeth({ name: host, mac: randomMac(this.#rt.random), mtu, peer: { ns, name: ifname, mac } });
    root.setMaster(host, bridgeName(network));
    if (this.#hairpin === 'bridge')
      root.links.configureBridgePort(root.links.require(host), { hairpin: true });
    root.setUp(host);
    ns.addAddress(ifname, formatPrefix(address));
    ns.setUp(ifname);
    this.#veths.set(plan.endpointId, host);
    return { mac, gateway: gatewayOf(plan) };
  }

  leave(plan: EndpointPlan): void {
    const host = this.#veths.get(plan.endpointId);
    this.#veths.delete(plan.endpointId);
    if (host !== undefined && this.#kernel.root.device(host) !== undefined)
      this.#kernel.root.removeDevice(host);
  }

  publish({ network, address }: EndpointPlan, ports: readonly DockerPortBinding[]): void {
    if (address === null || network.internal) return;
    this.#firewall?.publish(bridgeName(network), formatIp4(address.addr), ports);
  }

  unpublish({ network, address }: EndpointPlan, ports: readonly DockerPortBinding[]): void {
    if (address === null || network.internal) return;
    this.#firewall?.unpublish(bridgeName(network), formatIp4(address.addr), ports);
  }

  #mtu(network: DockerNetworkFacts): number {
    return Number(network.options[MTU] ?? DEFAULT_MTU);
  }

  #rules(network: DockerNetworkFacts): BridgeRules[] {
    return network.ipam.map(({ subnet }) => ({
      bridge: bridgeName(network),
      subnet,
      internal: network.internal,
      masquerade: flag(network, ENABLE_MASQUERADE),
      icc: flag(network, ENABLE_ICC),
    }));
  }
}
