import { formatIp4 } from '../../../protocols/ip4.ts';
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
import { gatewayRoute, linkRoute } from '../route-facts.ts';
import type { CalicoIpam } from './ipam.ts';
import type { PrefixOriginator } from './routes.ts';

/** MAC of the host's end of every pair. */
const HOST_MAC = 0xeeeeeeeeeeee;
/** What every pod has for a gateway: nobody's address, answered for by proxy ARP, so for a host with a default route. */
const GATEWAY = '169.254.1.1';

/** Name of the host's end of a pod's pair: `cali` and 11 digits of SHA-1 of `namespace.pod`. */
export function caliName(namespace: string, pod: string): string {
  return `cali${sha1Hex(`${namespace}.${pod}`).slice(0, 11)}`;
}

interface Attached {
  /** null until IPAM has answered. */
  addr: number | null;
  readonly hostDevice: string;
  /** Prefix announced for this address alone, '' if its block covers it. */
  exported: string;
}

/** Calico's CNI plug-in, and what Felix programs for a workload's endpoint. */
export class CalicoCni implements CniPlugin {
  readonly name = 'calico';
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  readonly #ipam: CalicoIpam;
  readonly #originator: PrefixOriginator;
  readonly #mtu: number;
  readonly #attached = new Map<string, Attached>();

  constructor(
    rt: Runtime,
    kernel: Kernel,
    ipam: CalicoIpam,
    originator: PrefixOriginator,
    options: { readonly mtu: number },
  ) {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#ipam = ipam;
    this.#originator = originator;
    this.#mtu = options.mtu;
  }

  status(): CniError | null {
    return this.#ipam.synced
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
      addr: null,
      hostDevice: caliName(request.namespace, request.pod),
      exported: '',
    };
    this.#attached.set(key, attached);
    this.#ipam.assign(request.containerId, (outcome) => {
      if (outcome.type === 'failed') {
        this.#attached.delete(key);
        done({ type: 'error', error: cniError(CNI_INTERNAL, outcome.message) });
        return;
      }
      attached.addr = outcome.addr;
      done({ type: 'result', result: this.#configure(request, attached, outcome.addr) });
    });
  }

  del(request: CniDelRequest, done: () => void): void {
    const key = attachmentKey(request);
    const attached = this.#attached.get(key);
    if (attached !== undefined) {
      this.#attached.delete(key);
      if (attached.exported !== '') this.#originator.withdraw(attached.exported);
      if (this.#kernel.root.device(attached.hostDevice) !== undefined) {
        this.#kernel.root.removeDevice(attached.hostDevice);
      }
    }
    this.#ipam.release((handle) => handle === request.containerId, done);
  }

  gc(valid: ReadonlySet<string>): void {
    this.#ipam.release(
      // By the time that this runs, containers may have been added that were no question when it was asked.
      (handle) => !valid.has(handle) && !this.#isAttached(handle),
      () => {},
    );
  }

  #isAttached(containerId: string): boolean {
    for (const key of this.#attached.keys()) if (key.startsWith(`${containerId}/`)) return true;
    return false;
  }

  #configure(request: CniAddRequest, attached: Attached, addr: number): CniResult {
    const { root } = this.#kernel;
    const { netns, ifname } = request;
    const { hostDevice } = attached;
    const ip = formatIp4(addr);
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
    netns.routes.set(linkRoute(`${GATEWAY}/32`, ifname));
    netns.routes.set(gatewayRoute('0.0.0.0/0', GATEWAY, ifname));
    netns.addAddress(ifname, `${ip}/32`);
    root.routes.set(linkRoute(`${ip}/32`, hostDevice));
    if (!this.#ipam.isInOwnBlock(addr)) {
      attached.exported = `${ip}/32`;
      this.#originator.originate(attached.exported);
    }
    return {
      cniVersion: '1.1.0',
      interfaces: [
        { name: hostDevice, mac: formatMac(HOST_MAC), sandbox: '' },
        { name: ifname, mac: formatMac(podMac), sandbox: netns.name },
      ],
      ips: [{ address: `${ip}/32`, gateway: '', interface: 1 }],
      routes: [{ dst: '0.0.0.0/0', gw: GATEWAY }],
    };
  }
}

function attachmentKey(attachment: CniAttachment): string {
  return `${attachment.containerId}/${attachment.ifname}`;
}
