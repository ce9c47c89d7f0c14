import type { IpPrefix } from '../../protocols/ip.ts';
import { formatIp4, formatPrefix, type Prefix, parseAddress, parsePrefix } from '../../protocols/ip4.ts';
import { formatPrefix6, type Prefix6, parseAddress6, parsePrefix6 } from '../../protocols/ip6.ts';
import { parseMac } from '../../protocols/mac.ts';
import type { CniConfig, NodeConfig } from '../config.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Netns } from '../kernel/netns.ts';
import type { Runtime } from '../runtime.ts';
import type { ClusterDisk, ClusterView, FlannelView } from '../state/cluster-view.ts';
import { type PodSpec, type StoreChange, type StoreValue, storeKeys } from '../store.ts';
import { CalicoCni } from './calico/cni.ts';
import { CalicoIpam } from './calico/ipam.ts';
import { BlockRoutes, type PrefixOriginator } from './calico/routes.ts';
import type { CniPlugin } from './cni.ts';
import type { Backend, PublicInterface } from './flannel/backend.ts';
import { FlannelCni } from './flannel/cni.ts';
import type { FlannelIpv6 } from './flannel/dual-stack.ts';
import { Flanneld } from './flannel/flanneld.ts';
import { HostGwBackend } from './flannel/host-gw.ts';
import { IpipBackend } from './flannel/ipip.ts';
import { IpsecBackend } from './flannel/ipsec.ts';
import { UdpBackend } from './flannel/udp.ts';
import { VxlanBackend } from './flannel/vxlan.ts';
import { WireguardBackend } from './flannel/wireguard.ts';
import { IpamLedger } from './ipam-ledger.ts';
import { Kubelet } from './kubelet.ts';
import { randomMac } from './random-names.ts';
import { StoreClient } from './store-client.ts';

/** Calico's default (`MaxBlocksPerHost`). */
const MAX_BLOCKS = 20;

/** A configuration that the daemons cannot start with. */
export class ClusterConfigError extends Error {
  override readonly name = 'ClusterConfigError';
}

export interface ClusterDaemonsOptions {
  readonly kernel: Kernel;
  readonly config: NodeConfig & { readonly cni: CniConfig };
  /** What a reboot finds, null on a new node. */
  readonly disk: ClusterDisk | null;
  /** Takes Calico's blocks and borrowed addresses; flannel announces nothing. */
  readonly originator: PrefixOriginator;
  /** Called before a pod's namespace goes: what runs in it ends. */
  readonly onNamespaceRemoved: (ns: Netns) => void;
}

interface Network {
  readonly plugin: CniPlugin;
  readonly watches: readonly string[];
  start(): void;
  storeChanged(change: StoreChange): void;
  flannel(): FlannelView;
  /** Things under way that are no request to the store. */
  work(): number;
}

/** The cluster daemons of one node: kubelet and the network plug-in, with flanneld or Calico's IPAM behind it. */
export class ClusterDaemons {
  /** Patterns of the keys whose changes are to be handed in. */
  readonly watches: readonly string[];
  readonly #node: string;
  readonly #store: StoreClient;
  readonly #ledger: IpamLedger;
  readonly #network: Network;
  readonly #kubelet: Kubelet;

  /** @throws ClusterConfigError */
  constructor(rt: Runtime, options: ClusterDaemonsOptions) {
    const { kernel, config, disk, onNamespaceRemoved } = options;
    this.#node = config.name;
    this.#store = new StoreClient(rt);
    this.#ledger = new IpamLedger(rt, disk?.ipam ?? null);
    const onNetworkChange = () => this.#kubelet.networkChanged();
    this.#network =
      config.cni.type === 'calico'
        ? calicoNetwork(rt, options, config.cni, this.#store, this.#ledger, onNetworkChange)
        : flannelNetwork(rt, options, config.cni, this.#store, this.#ledger, onNetworkChange);
    this.#kubelet = new Kubelet(rt, this.#store, {
      node: config.name,
      kernel,
      cni: this.#network.plugin,
      disk: disk?.sandboxes ?? [],
      onNamespaceRemoved,
    });
    this.watches = [storeKeys.podsOf(config.name), `podstatus.${config.name}.>`, ...this.#network.watches];
  }

  /** Called once the interfaces are up. */
  start(): void {
    this.#network.start();
    this.#kubelet.start();
  }

  /** A change that one of `watches` has delivered. */
  storeChanged(change: StoreChange): void {
    const [family, node, namespace, name, ...rest] = change.key.split('.');
    if (family === 'pods' || family === 'podstatus') {
      if (node !== this.#node || namespace === undefined || name === undefined || rest.length > 0) return;
      if (family === 'podstatus') {
        this.#kubelet.statusChanged(namespace, name, change.value === null ? 'absent' : 'present');
        return;
      }
      const spec = change.value === null ? null : parsePod(change.value, this.#node, namespace, name);
      if (change.value === null || spec !== null) this.#kubelet.podChanged(namespace, name, spec);
      return;
    }
    this.#network.storeChanged(change);
  }

  /** Namespace of a pod, `namespace/name`; undefined while it has none. */
  namespaceOf(pod: string): Netns | undefined {
    const [namespace = '', name = ''] = pod.split('/');
    return this.#kubelet.namespaceOf(namespace, name);
  }

  snapshot(): ClusterView {
    return {
      sandboxes: this.#kubelet.snapshot(),
      ipam: this.#ledger.view(),
      flannel: this.#network.flannel(),
    };
  }

  /** What will change state without further input, and the pods that run. */
  report(): { readonly work: number; readonly podsRunning: number } {
    const { work, running } = this.#kubelet.report();
    return { work: work + this.#store.outstanding + this.#network.work(), podsRunning: running };
  }
}

function calicoNetwork(
  rt: Runtime,
  options: ClusterDaemonsOptions,
  cni: Extract<CniConfig, { type: 'calico' }>,
  store: StoreClient,
  ledger: IpamLedger,
  onChange: () => void,
): Network {
  const { kernel, config, originator } = options;
  const pool = parsePrefix(cni.pool);
  if (pool === null) throw new ClusterConfigError(`Calico pool ${cni.pool} is not a prefix`);
  if (cni.blockSize < Math.max(pool.len, 20) || cni.blockSize > 32) {
    throw new ClusterConfigError(
      `Calico block size /${cni.blockSize} must be in /20 to /32 and fit the pool ${cni.pool}`,
    );
  }
  const pools: { readonly pool: IpPrefix; readonly blockSize: number }[] = [
    { pool, blockSize: cni.blockSize },
  ];
  if (cni.ipv6 !== undefined) {
    const pool6 = parsePrefix6(cni.ipv6.pool);
    if (pool6 === null) throw new ClusterConfigError(`Calico pool ${cni.ipv6.pool} is not a prefix of IPv6`);
    const { blockSize } = cni.ipv6;
    if (blockSize < Math.max(pool6.len, 116) || blockSize > 128)
      throw new ClusterConfigError(
        `Calico block size /${blockSize} must be in /116 to /128 and fit the pool ${cni.ipv6.pool}`,
      );
    pools.push({ pool: pool6, blockSize });
  }
  const routes = new BlockRoutes(kernel, originator);
  const ipams = pools.map(
    ({ pool, blockSize }) =>
      new CalicoIpam(
        rt,
        store,
        ledger,
        { node: config.name, pool, blockSize, borrowing: 'allowed', maxBlocks: MAX_BLOCKS },
        {
          synced: onChange,
          blockConfirmed: (cidr) => routes.announce(cidr),
          blockLost: (cidr) => routes.withdraw(cidr),
        },
      ),
  );
  return {
    plugin: new CalicoCni(rt, kernel, ipams, originator, { mtu: cni.mtu }),
    watches: ipams.length > 1 ? ['ipam.>', 'ipam6.>'] : ['ipam.>'],
    start: () => {
      for (const ipam of ipams) ipam.start();
    },
    storeChanged: (change) => {
      for (const ipam of ipams) ipam.storeChanged(change);
    },
    flannel: () => ({ own: null, revoked: false, peers: [] }),
    work: () => ipams.reduce((sum, ipam) => sum + ipam.pending + (ipam.synced ? 0 : 1), 0),
  };
}

function flannelNetwork(
  rt: Runtime,
  options: ClusterDaemonsOptions,
  cni: Extract<CniConfig, { type: 'flannel' }>,
  store: StoreClient,
  ledger: IpamLedger,
  onChange: () => void,
): Network {
  const { kernel, config, disk } = options;
  const network = parsePrefix(cni.network);
  if (network === null) throw new ClusterConfigError(`flannel network ${cni.network} is not a prefix`);
  if (cni.subnetLen < network.len + 2) {
    throw new ClusterConfigError('network must be able to accommodate at least four subnets');
  }
  if (cni.subnetLen > 30) throw new ClusterConfigError('SubnetLen must be less than /31');
  const iface = publicInterface(config, cni.iface);
  const ipv6 = flannelIpv6(config, cni);
  const backend = flannelBackend(rt, options, cni, network, ipv6?.network ?? null, iface);
  const flanneld = new Flanneld(rt, store, {
    node: config.name,
    network,
    subnetLen: cni.subnetLen,
    publicIP: iface.address,
    backend,
    ipv6,
    timings: config.timers.flannel,
    disk: disk?.lease ?? null,
    onStateChange: onChange,
  });
  return {
    plugin: new FlannelCni(rt, kernel, flanneld, ledger, {
      network: formatPrefix(network),
      network6: ipv6 === null ? null : formatPrefix6(ipv6.network),
    }),
    watches: ['flannel.>'],
    start: () => flanneld.start(),
    storeChanged: (change) => flanneld.storeChanged(change),
    flannel: () => flanneld.snapshot(),
    work: () => (flanneld.state.type === 'starting' ? 1 : 0),
  };
}

function flannelBackend(
  rt: Runtime,
  options: ClusterDaemonsOptions,
  cni: Extract<CniConfig, { type: 'flannel' }>,
  network: Prefix,
  network6: Prefix6 | null,
  iface: PublicInterface,
): Backend {
  if (network6 !== null && cni.backend.type !== 'host-gw' && cni.backend.type !== 'wireguard')
    throw new ClusterConfigError(`flannel's ${cni.backend.type} carries no IPv6 here`);
  const { root } = options.kernel;
  const { backend } = cni;
  const { routeCheck } = options.config.timers.flannel;
  switch (backend.type) {
    case 'udp':
      return new UdpBackend(root, iface, { port: backend.port, network });
    case 'host-gw':
      return new HostGwBackend(rt, root, iface, routeCheck);
    case 'ipip':
      return new IpipBackend(rt, root, iface, {
        routeCheck,
        directRouting: backend.directRouting ? 'on' : 'off',
      });
    case 'ipsec':
      return new IpsecBackend(root, iface, { psk: backend.psk, random: rt.random });
    case 'wireguard':
      return new WireguardBackend(root, iface, {
        port: backend.port,
        network,
        network6,
        random: rt.random,
      });
    case 'vxlan': {
      const { vni, port, directRouting } = backend;
      const { VtepMAC: kept } = options.disk?.lease?.lease.backendData ?? {};
      const mac = (typeof kept === 'string' ? parseMac(kept) : null) ?? randomMac(rt.random);
      return new VxlanBackend(root, iface, { vni, port, directRouting: directRouting ? 'on' : 'off', mac });
    }
  }
}

function flannelIpv6(
  config: NodeConfig,
  { ipv6, iface: name }: Extract<CniConfig, { type: 'flannel' }>,
): FlannelIpv6 | null {
  if (ipv6 === undefined) return null;
  const network = parsePrefix6(ipv6.network);
  if (network === null) throw new ClusterConfigError(`flannel network ${ipv6.network} is not a prefix`);
  const iface = config.interfaces.find((candidate) => candidate.name === name);
  const address = iface?.addresses.flatMap((text) => parseAddress6(text) ?? [])[0];
  if (address === undefined)
    throw new ClusterConfigError(`flannel: failed to find IPv6 address for interface ${name}`);
  return { network, subnetLen: ipv6.subnetLen, publicIP: address.addr };
}

function publicInterface(config: NodeConfig, name: string): PublicInterface {
  const iface = config.interfaces.find((candidate) => candidate.name === name);
  const address = parseAddress(iface?.addresses[0] ?? '');
  if (iface === undefined || address === null) {
    throw new ClusterConfigError(`flannel: failed to find IPv4 address for interface ${name}`);
  }
  return { name, address: formatIp4(address.addr), mtu: iface.mtu };
}

/** A row of `pods.<node>.>`; null unless it is the pod that its key names. */
function parsePod(value: StoreValue, node: string, namespace: string, name: string): PodSpec | null {
  const { uid, labels } = value;
  if (value.namespace !== namespace || value.name !== name || value.node !== node) return null;
  if (typeof uid !== 'string' || uid === '' || typeof labels !== 'object' || labels === null) return null;
  const texts = Object.entries(labels).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return { namespace, name, node, uid, labels: Object.fromEntries(texts) };
}
