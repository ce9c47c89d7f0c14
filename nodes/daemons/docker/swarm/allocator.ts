import {
  broadcastOf,
  formatPrefix,
  type Prefix,
  parseIp4,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from '../../../../protocols/ip4.ts';
import type { DockerNetworkFacts } from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { DockerError } from '../error.ts';
import { AddressPool } from '../network/address-pool.ts';
import { changeRow } from './row-lock.ts';
import { type AddressesRow, type AllocatorRow, parseAddresses, parseAllocator, swarmKeys } from './rows.ts';

/** Subnets of a swarm's networks (`docker swarm init --default-addr-pool 10.0.0.0/8`, mask 24), and VNIs. */
const POOL: Prefix = { addr: 0x0a000000, len: 8 };
const SUBNET_LEN = 24;
export const FIRST_VNI = 4096;
export const INGRESS_SUBNET = '10.0.0.0/24';

/** What swarmkit's allocator gives out, each time the next after the last: subnets, VNIs, and addresses in the subnets. */
export class SwarmAllocator {
  readonly #rt: Runtime;
  readonly #store: StoreClient;
  readonly #allocators = new StoreView<AllocatorRow>(swarmKeys.allocator, (_key, value) =>
    parseAllocator(value),
  );
  readonly #addresses = new StoreView<AddressesRow>('docker.addresses.', (_key, value) =>
    parseAddresses(value),
  );

  constructor(rt: Runtime, store: StoreClient) {
    this.#rt = rt;
    this.#store = store;
  }

  storeChanged(change: StoreChange): void {
    this.#allocators.apply(change);
    this.#addresses.apply(change);
  }

  /** A swarm begins: nothing is given out but what the ingress network has. */
  begin(done: () => void): void {
    this.#store.request({ op: 'put', key: swarmKeys.allocator, value: FRESH }, done);
  }

  /** Takes a subnet, the one asked for or, for '', the next, and the next VNI. */
  takeSubnet(
    wanted: string,
    done: (result: { readonly subnet: string; readonly vni: number } | DockerError) => void,
  ): void {
    let result: { readonly subnet: string; readonly vni: number } | DockerError = new DockerError(
      `invalid CIDR address: ${wanted}`,
    );
    changeRow(
      this.#rt,
      this.#store,
      this.#allocators,
      swarmKeys.allocator,
      (row) => {
        const allocator = row ?? FRESH;
        const subnet = wanted === '' ? nextSubnet(allocator) : wanted;
        const prefix = parsePrefix(subnet);
        if (prefix === null) return null;
        if (allocator.subnets.some((other) => prefixesOverlap(parsePrefix(other)!, prefix))) {
          result = new DockerError('Pool overlaps with other one on this address space');
          return null;
        }
        const vni = allocator.lastVni + 1;
        result = { subnet, vni };
        return {
          lastSubnet: wanted === '' ? subnet : allocator.lastSubnet,
          subnets: [...allocator.subnets, subnet],
          lastVni: vni,
        };
      },
      () => done(result),
    );
  }

  /** Takes an address of a network for somebody, the one asked for or, for '', the next after the last. */
  takeAddress(
    network: DockerNetworkFacts,
    wanted: string,
    holder: string,
    done: (result: Prefix | DockerError) => void,
  ): void {
    const facts = network.ipam[0]!;
    const subnet = parsePrefix(facts.subnet)!;
    const range = parsePrefix(facts.ipRange) ?? subnet;
    const gateway = parseIp4(facts.gateway) ?? 0;
    let got: Prefix | DockerError = new DockerError(
      `no available IPv4 addresses on this network's address pools: ${network.name} (${network.id})`,
    );
    changeRow(
      this.#rt,
      this.#store,
      this.#addresses,
      swarmKeys.addresses(network.id),
      (row) => {
        const { last, taken, holders } = row ?? { last: gateway, taken: [gateway], holders: {} };
        const pool = new AddressPool(subnet, range, 'serial', last);
        for (const addr of taken) if (prefixContains(subnet, addr) && !pool.isTaken(addr)) pool.take(addr);
        const addr = wanted === '' ? pool.next() : takeOf(pool, parseIp4(wanted) ?? 0);
        if (addr === null) return null;
        if (addr instanceof DockerError) {
          got = addr;
          return null;
        }
        got = { addr, len: subnet.len };
        return {
          last: wanted === '' ? addr : last,
          taken: [...taken, addr],
          holders: { ...holders, [addr]: holder },
        };
      },
      () => done(got),
    );
  }

  /** Gives back an address, if it is (still) one that somebody of those has. */
  freeAddress(networkId: string, addr: number, isHolder: (holder: string) => boolean): void {
    this.#free(swarmKeys.addresses(networkId), (other, holder) => other === addr && isHolder(holder));
  }

  /** Gives back all addresses that somebody of those has. */
  freeHeld(isHolder: (holder: string, addr: number) => boolean): void {
    const { cause } = this.#rt;
    for (const key of [...this.#addresses.keys()]) {
      this.#rt.cause = cause;
      this.#free(key, (addr, holder) => isHolder(holder, addr));
    }
    this.#rt.cause = cause;
  }

  #free(key: string, isGone: (addr: number, holder: string) => boolean): void {
    changeRow(
      this.#rt,
      this.#store,
      this.#addresses,
      key,
      (row) => {
        const gone = row?.taken.filter((addr) => {
          const holder = row.holders[addr];
          return holder !== undefined && isGone(addr, holder);
        });
        if (row === null || gone === undefined || gone.length === 0) return null;
        return {
          last: row.last,
          taken: row.taken.filter((addr) => !gone.includes(addr)),
          holders: Object.fromEntries(
            Object.entries(row.holders).filter(([addr]) => !gone.includes(Number(addr))),
          ),
        };
      },
      () => {},
    );
  }

  freeSubnet(subnet: string): void {
    changeRow(
      this.#rt,
      this.#store,
      this.#allocators,
      swarmKeys.allocator,
      (row) => (row === null ? null : { ...row, subnets: row.subnets.filter((other) => other !== subnet) }),
      () => {},
    );
  }
}

const FRESH: AllocatorRow = { lastSubnet: INGRESS_SUBNET, subnets: [INGRESS_SUBNET], lastVni: FIRST_VNI };

function takeOf(pool: AddressPool, addr: number): number | DockerError {
  try {
    pool.take(addr);
    return addr;
  } catch (error) {
    if (error instanceof DockerError) return error;
    throw error;
  }
}

/** The next after the last, round and round. */
function nextSubnet({ lastSubnet, subnets }: AllocatorRow): string {
  const last = parsePrefix(lastSubnet) ?? POOL;
  const size = 2 ** (32 - SUBNET_LEN);
  const count = (broadcastOf(POOL) - POOL.addr + 1) / size;
  const start = (last.addr - POOL.addr) / size;
  for (let i = 1; i <= count; i++) {
    const candidate = { addr: POOL.addr + ((start + i) % count) * size, len: SUBNET_LEN };
    if (!subnets.some((other) => prefixesOverlap(parsePrefix(other)!, candidate)))
      return formatPrefix(candidate);
  }
  return '';
}
