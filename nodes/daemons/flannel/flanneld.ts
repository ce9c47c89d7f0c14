import { formatPrefix, type Prefix, parsePrefix } from '../../../protocols/ip4.ts';
import { formatIp6, formatPrefix6 } from '../../../protocols/ip6.ts';
import type { Timings } from '../../config.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import type { FlannelView, OwnLease } from '../../state/cluster-view.ts';
import { type StoreChange, storeKeys } from '../../store.ts';
import type { StoreClient } from '../store-client.ts';
import { WatchSync } from '../watch-sync.ts';
import type { Backend } from './backend.ts';
import { type FlannelIpv6, subnet6Of } from './dual-stack.ts';
import { freeSubnets, isCompatible, leaseValue } from './lease.ts';
import { LeaseView } from './lease-view.ts';
import { Peers } from './peers.ts';

/** Time until flanneld, having ended for want of a subnet, is started again, ms. */
const RESTART = 10_000;

export interface FlanneldOptions {
  readonly node: string;
  readonly network: Prefix;
  readonly subnetLen: number;
  readonly publicIP: string;
  readonly backend: Backend;
  /** Null: of IPv4 alone. */
  readonly ipv6: FlannelIpv6 | null;
  readonly timings: Timings['flannel'];
  /** subnet.env as a reboot finds it, null on a new node. */
  readonly disk: OwnLease | null;
  /** The state has changed. */
  readonly onStateChange: () => void;
}

export type FlanneldState =
  | { readonly type: 'starting' }
  | { readonly type: 'running' }
  /** No subnet could be had; tried again after a while. */
  | { readonly type: 'failed'; readonly message: string }
  /** 'Lease has been revoked. Shutting down daemon.' */
  | { readonly type: 'revoked' };

/** flanneld: holds a subnet lease for this node, and keeps the kernel's tables in line with the leases of the others. */
export class Flanneld {
  readonly #rt: Runtime;
  readonly #store: StoreClient;
  readonly #options: FlanneldOptions;
  readonly #leases = new LeaseView();
  readonly #peers: Peers;
  readonly #sync: WatchSync;
  #state: FlanneldState = { type: 'starting' };
  #own: OwnLease | null;
  /** The row that a write of ours lost a race for, the revision it had, and what is to be done when it is known. */
  #awaited: { readonly key: string; readonly revision: number; readonly then: () => void } | null = null;
  #renewal: TimerHandle | null = null;

  constructor(rt: Runtime, store: StoreClient, options: FlanneldOptions) {
    this.#rt = rt;
    this.#store = store;
    this.#options = options;
    this.#own = options.disk;
    this.#peers = new Peers(rt, options.backend);
    this.#sync = new WatchSync(store, 'flannel', options.node, () => this.#acquire());
  }

  start(): void {
    this.#options.backend.prepare();
    this.#sync.start();
  }

  get state(): FlanneldState {
    return this.#state;
  }

  /** What subnet.env says, null if there is none. */
  get own(): OwnLease | null {
    return this.#own;
  }

  storeChanged(change: StoreChange): void {
    if (this.#leases.apply(change)) {
      const awaited = this.#awaited;
      if (awaited !== null && this.#leases.revision(awaited.key) > awaited.revision) {
        this.#awaited = null;
        awaited.then();
      }
      this.#rt.cause = change.cause;
      if (this.#state.type === 'running') this.#rowChanged(change.key);
    }
    this.#sync.storeChanged(change);
  }

  snapshot(): FlannelView {
    return { own: this.#own, revoked: this.#state.type === 'revoked', peers: this.#peers.leases() };
  }

  /** Takes a subnet as `tryAcquireLease` does; called again after each race that was lost. */
  #acquire(): void {
    const { network, subnetLen, publicIP, disk } = this.#options;
    const live = this.#leases.allLive(this.#rt.now);
    const mine = live.find((lease) => lease.publicIP === publicIP);
    const minePrefix = mine === undefined ? null : parsePrefix(mine.subnet);
    if (mine !== undefined && minePrefix !== null) {
      if (isCompatible(network, subnetLen, minePrefix)) this.#claim(mine.subnet);
      else this.#discard(mine.subnet);
      return;
    }
    const taken = live.flatMap((lease) => parsePrefix(lease.subnet) ?? []);
    const previous = parsePrefix(disk?.lease.subnet ?? '');
    if (previous !== null && isCompatible(network, subnetLen, previous)) {
      const text = formatPrefix(previous);
      if (!live.some((lease) => lease.subnet === text)) {
        this.#claim(text);
        return;
      }
    }
    const free = freeSubnets(network, subnetLen, taken);
    const chosen = free[this.#rt.random.int(0, Math.max(0, free.length - 1))];
    if (chosen !== undefined) this.#claim(formatPrefix(chosen));
    else {
      this.#setState({ type: 'failed', message: 'failed to acquire lease: out of subnets' });
      this.#rt.timers.set(this.#rt.now + RESTART, () => this.#acquire());
    }
  }

  /** Writes our lease: over an expired or own row by compare and swap, else as a new row. */
  #claim(subnet: string): void {
    const { backend, publicIP, timings } = this.#options;
    const lease: LeaseFacts = {
      subnet,
      publicIP,
      backendType: backend.type,
      backendData: backend.data,
      expiresAt: this.#rt.now + timings.leaseTtl,
      ...this.#ipv6(subnet),
    };
    const key = storeKeys.flannelSubnet(subnet);
    const revision = this.#leases.revision(key);
    const value = leaseValue(lease);
    this.#store.request(
      this.#leases.has(key) ? { op: 'update', key, value, revision } : { op: 'create', key, value },
      (answer) => {
        if (answer.type === 'conflict') {
          this.#await(key, revision, () => this.#acquire());
          return;
        }
        this.#leases.wrote(lease, answer.revision);
        this.#acquired(lease);
      },
    );
  }

  /** What the lease of a subnet says of IPv6. */
  #ipv6(subnet: string): Pick<LeaseFacts, 'ipv6'> {
    const { ipv6, network, backend } = this.#options;
    const prefix = parsePrefix(subnet);
    if (ipv6 === null || prefix === null) return {};
    return {
      ipv6: {
        subnet: formatPrefix6(subnet6Of(network, prefix, ipv6)),
        publicIP: formatIp6(ipv6.publicIP),
        backendData: backend.data6 ?? {},
      },
    };
  }

  /** Removes a lease of ours that the configuration does not allow any more. */
  #discard(subnet: string): void {
    const key = storeKeys.flannelSubnet(subnet);
    const revision = this.#leases.revision(key);
    this.#store.request({ op: 'delete', key, revision }, () => {
      this.#await(key, revision, () => this.#acquire());
    });
  }

  #acquired(lease: LeaseFacts): void {
    const { backend } = this.#options;
    this.#own = { lease, mtu: backend.mtu };
    const acquired = this.#rt.emit({ type: 'flannel.acquired', lease, mtu: backend.mtu });
    backend.up(lease.subnet, lease.ipv6?.subnet ?? null);
    for (const peer of this.#leases.allLive(this.#rt.now)) {
      this.#rt.cause = acquired;
      this.#rowChanged(storeKeys.flannelSubnet(peer.subnet));
    }
    this.#rt.cause = acquired;
    this.#armRenewal(lease);
    this.#setState({ type: 'running' });
    // What became of the row between the write and its answer.
    this.#rowChanged(storeKeys.flannelSubnet(lease.subnet));
  }

  #armRenewal(lease: LeaseFacts): void {
    const { leaseTtl, renewMargin } = this.#options.timings;
    const margin = Math.min(renewMargin, leaseTtl / 2);
    this.#renewal = this.#rt.timers.set(lease.expiresAt - margin, () => this.#renew());
  }

  #renew(): void {
    const own = this.#own;
    if (own === null || this.#state.type !== 'running') return;
    const lease = { ...own.lease, expiresAt: this.#rt.now + this.#options.timings.leaseTtl };
    const key = storeKeys.flannelSubnet(lease.subnet);
    const revision = this.#leases.revision(key);
    this.#store.request({ op: 'update', key, value: leaseValue(lease), revision }, (answer) => {
      if (this.#state.type !== 'running') return;
      if (answer.type === 'conflict') {
        this.#await(key, revision, () => this.#renew());
        return;
      }
      this.#leases.wrote(lease, answer.revision);
      this.#own = { lease, mtu: own.mtu };
      this.#rt.emit({ type: 'flannel.acquired', lease, mtu: own.mtu });
      this.#armRenewal(lease);
    });
  }

  #rowChanged(key: string): void {
    const { backend, publicIP } = this.#options;
    const own = this.#own;
    if (own !== null && key === storeKeys.flannelSubnet(own.lease.subnet)) {
      // Expired or not, the row is ours for as long as nobody has taken or deleted it.
      if (this.#leases.get(key)?.publicIP !== publicIP) this.#revoked(own.lease.subnet);
      return;
    }
    const subnet = subnetOfKey(key);
    if (subnet === null) return;
    const lease = this.#leases.live(key, this.#rt.now);
    const isPeer = lease !== null && lease.publicIP !== publicIP && lease.backendType === backend.type;
    this.#peers.set(subnet, isPeer ? lease : null);
  }

  #revoked(subnet: string): void {
    this.#rt.emit({ type: 'flannel.revoked', subnet });
    if (this.#renewal !== null) this.#rt.timers.cancel(this.#renewal);
    this.#awaited = null;
    this.#peers.stop();
    this.#options.backend.stop();
    this.#setState({ type: 'revoked' });
  }

  /** Goes on when the row is known at a later revision than the one that was not current. */
  #await(key: string, revision: number, then: () => void): void {
    if (this.#leases.revision(key) > revision) then();
    else this.#awaited = { key, revision, then };
  }

  #setState(state: FlanneldState): void {
    this.#state = state;
    this.#options.onStateChange();
  }
}

/** `flannel.subnets.10-244-1-0-24` to `10.244.1.0/24`; null if the key names no prefix. */
function subnetOfKey(key: string): string | null {
  const [a, b, c, d, len] = (key.split('.').at(-1) ?? '').split('-');
  const prefix = parsePrefix(`${a}.${b}.${c}.${d}/${len}`);
  return prefix === null ? null : formatPrefix(prefix);
}
