import { bitsOf, formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { eui64, formatIp6, LINK_LOCAL_PREFIX } from '../../../protocols/ip6.ts';
import { formatMac } from '../../../protocols/mac.ts';
import { sha1Hex } from '../../../protocols/sha1.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Runtime } from '../../runtime.ts';
import {
  CNI_INTERNAL,
  CNI_TRY_AGAIN_LATER,
  type CniAddRequest,
  type CniAttachment,
  type CniDelRequest,
  type CniError,
  type CniOutcome,
  type CniPlugin,
  type CniResult,
  cniError,
} from '../cni.ts';
import { randomMac } from '../random-names.ts';
import { deviceRoute, gatewayRoute, linkRoute } from '../route-facts.ts';
import type { CalicoIpam } from './ipam.ts';
import type { PrefixOriginator } from './routes.ts';

/** MAC of the host's end of every pair. */
const HOST_MAC = 0xeeeeeeeeeeee;
/** What every pod has for a gateway: nobody's address, answered for by proxy ARP, so for a host with a default route. */
const GATEWAY = '169.254.1.1';

/** The same of IPv6: the link-local address that the host's end has by its MAC. */
const GATEWAY6 = formatIp6(eui64(LINK_LOCAL_PREFIX, HOST_MAC));

/** Name of the host's end of a pod's pair: `cali` and 11 digits of SHA-1 of `namespace.pod`. */
export function caliName(namespace: string, pod: string): string {
  return `cali${sha1Hex(`${namespace}.${pod}`).slice(0, 11)}`;
}

interface Attached {
  readonly hostDevice: string;
  /** Prefixes announced for an address alone that no block of the node covers. */
  readonly exported: string[];
}

/** Calico's CNI plug-in, and what Felix programs for a workload's endpoint. */
export class CalicoCni implements CniPlugin {
  readonly name = 'calico';
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  /** One a family: IPv4, and IPv6 where pods are dual-stack. */
  readonly #ipams: readonly CalicoIpam[];
  readonly #originator: PrefixOriginator;
  readonly #mtu: number;
  readonly #attached = new Map<string, Attached>();

  constructor(
    rt: Runtime,
    kernel: Kernel,
    ipams: readonly CalicoIpam[],
    originator: PrefixOriginator,
    options: { readonly mtu: number },
  ) {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#ipams = ipams;
    this.#originator = originator;
    this.#mtu = options.mtu;
  }

  status(): CniError | null {
    return this.#ipams.every((ipam) => ipam.synced)
      ? null
      : cniError(CNI_TRY_AGAIN_LATER, 'calico/node is not ready: datastore not in sync');
  }

  add(request: CniAddRequest, done: (outcome: CniOutcome) => void): void {
    const key = attachmentKey(request);
    if (this.#attached.has(key)) {
      done({
        type: 'error',
        error: cniError(CNI_INTERNAL, `container ${request.containerId} already has ${request.ifname}`),
      });
      return;
    }
    const attached: Attached = {
      hostDevice: caliName(request.namespace, request.pod),
      exported: [],
    };
    this.#attached.set(key, attached);
    this.#assign(request.containerId, [], (outcome) => {
      if (typeof outcome === 'string') {
        this.#attached.delete(key);
        done({ type: 'error', error: cniError(CNI_INTERNAL, outcome) });
        return;
      }
      done({ type: 'result', result: this.#configure(request, attached, outcome) });
    });
  }

  /** An address of each family; of one that fails, kubelet's DEL gives back what the others gave. */
  #assign(
    handle: string,
    assigned: readonly IpAddress[],
    done: (outcome: readonly IpAddress[] | string) => void,
  ): void {
    const ipam = this.#ipams[assigned.length];
    if (ipam === undefined) done(assigned);
    else
      ipam.assign(handle, (outcome) => {
        if (outcome.type === 'failed') done(outcome.message);
        else this.#assign(handle, [...assigned, outcome.addr], done);
      });
  }

  del(request: CniDelRequest, done: () => void): void {
    const key = attachmentKey(request);
    const attached = this.#attached.get(key);
    if (attached !== undefined) {
      this.#attached.delete(key);
      for (const prefix of attached.exported) this.#originator.withdraw(prefix);
      if (this.#kernel.root.device(attached.hostDevice) !== undefined) {
        this.#kernel.root.removeDevice(attached.hostDevice);
      }
    }
    this.#release((handle) => handle === request.containerId, done);
  }

  gc(valid: ReadonlySet<string>): void {
    this.#release(
      // By the time that this runs, containers may have been added that were no question when it was asked.
      (handle) => !valid.has(handle) && !this.#isAttached(handle),
      () => {},
    );
  }

  /** In all pools; `done` is called after the last. */
  #release(accepts: (handle: string) => boolean, done: () => void): void {
    let left = this.#ipams.length;
    for (const ipam of this.#ipams)
      ipam.release(accepts, () => {
        if (--left === 0) done();
      });
  }

  #isAttached(containerId: string): boolean {
    for (const key of this.#attached.keys()) if (key.startsWith(`${containerId}/`)) return true;
    return false;
  }

  #configure(request: CniAddRequest, attached: Attached, addresses: readonly IpAddress[]): CniResult {
    const { root } = this.#kernel;
    const { netns, ifname } = request;
    const { hostDevice } = attached;
    const podMac = randomMac(this.#rt.random);
    root.ipForward = true;
    if (root.device(hostDevice) !== undefined) root.removeDevice(hostDevice);
    root.addVeth({
      name: hostDevice,
      mac: HOST_MAC,
      mtu: this.#mtu,
      peer: { ns: netns, name: ifname, mac: podMac },
    });
    root.setUp(hostDevice);
    // As felix' endpoint manager configures a workload's interface.
    root.sysctls.set('ipv4.conf.*.route_localnet', 1, hostDevice);
    root.sysctls.set('ipv4.neigh.*.proxy_delay', 0, hostDevice);
    root.setProxyArp(hostDevice, 'on');
    root.sysctls.set('ipv4.conf.*.rp_filter', 1, hostDevice);
    netns.setUp(ifname);
    for (const [i, addr] of addresses.entries()) {
      if (typeof addr === 'number') this.#configureInet(request, hostDevice, formatIp4(addr));
      else this.#configureInet6(request, hostDevice, formatIp6(addr));
      if (this.#ipams[i]?.isInOwnBlock(addr) === true) continue;
      const prefix = hostPrefix(addr);
      attached.exported.push(prefix);
      this.#originator.originate(prefix);
    }
    return {
      cniVersion: '1.1.0',
      interfaces: [
        { name: hostDevice, mac: formatMac(HOST_MAC), sandbox: '' },
        { name: ifname, mac: formatMac(podMac), sandbox: netns.name },
      ],
      ips: addresses.map((addr) => ({ address: hostPrefix(addr), gateway: '', interface: 1 })),
      routes: addresses.map((addr) =>
        typeof addr === 'number' ? { dst: '0.0.0.0/0', gw: GATEWAY } : { dst: '::/0', gw: GATEWAY6 },
      ),
    };
  }

  #configureInet({ netns, ifname }: CniAddRequest, hostDevice: string, ip: string): void {
    netns.routes.set(linkRoute(`${GATEWAY}/32`, ifname));
    netns.routes.set(gatewayRoute('0.0.0.0/0', GATEWAY, ifname));
    netns.addAddress(ifname, `${ip}/32`);
    this.#kernel.root.routes.set(linkRoute(`${ip}/32`, hostDevice));
  }

  /** As the plug-in's dataplane and Felix do: IPv6 on in the pod, its gateway the host's link-local address. */
  #configureInet6({ netns, ifname }: CniAddRequest, hostDevice: string, ip: string): void {
    const { root } = this.#kernel;
    netns.sysctls.set('ipv6.conf.*.disable_ipv6', 0, 'all');
    root.sysctls.set('ipv6.conf.*.accept_ra', 0, hostDevice);
    root.sysctls.set('ipv6.conf.*.forwarding', 1, hostDevice);
    const device = netns.device(ifname);
    // The address is IPAM's to give, and nobody else's on the pair.
    if (device !== undefined) netns.ipv6.addresses.add(device, `${ip}/128`, { dad: 'none' });
    netns.ipv6.routes.set(deviceRoute(`${GATEWAY6}/128`, ifname));
    netns.ipv6.routes.set(gatewayRoute('::/0', GATEWAY6, ifname));
    root.ipv6.routes.set(deviceRoute(`${ip}/128`, hostDevice));
  }
}

function hostPrefix(addr: IpAddress): string {
  return `${formatIp(addr)}/${bitsOf(addr)}`;
}

function attachmentKey(attachment: CniAttachment): string {
  return `${attachment.containerId}/${attachment.ifname}`;
}
