import { espKeys } from '../../../protocols/esp-keys.ts';
import { formatIp4, type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { XfrmDirection } from '../../events/xfrm.ts';
import { NetlinkError } from '../../kernel/netlink.ts';
import type { Netns } from '../../kernel/netns.ts';
import { UNLIMITED } from '../../kernel/xfrm/lifetime.ts';
import type { Random } from '../../runtime.ts';
import type { Backend, PublicInterface } from './backend.ts';

/** What ESP with AES-CBC and HMAC-SHA-256-128 takes at worst; flannel takes it off whatever the ciphers are. */
const OVERHEAD = 77;
/** `defaultReqID` */
const REQID = 11;
const REPLAY_WINDOW = 32;
const ANY_PROTOCOL = { proto: 0, sport: null, dport: null } as const;

export interface IpsecBackendOptions {
  readonly psk: string;
  readonly random: Random;
}

/**
 * flannel's ipsec: for each peer policies in all three directions, and tunnels of ESP. There is no device and no route: packets to pods
 * go by the default route, until a policy takes them. In the place of IKE stands what it is for: each node puts a nonce of this boot
 * into its lease, and both ends make their keys and SPIs of the PSK and the two nonces.
 */
export class IpsecBackend implements Backend {
  readonly type = 'ipsec';
  readonly mtu: number;
  readonly data: Readonly<Record<string, string | number>>;
  readonly #root: Netns;
  readonly #local: number;
  readonly #psk: string;
  readonly #nonce: string;
  #subnet: Prefix | null = null;
  /** Destination and SPI of the associations with a peer, by its subnet. */
  readonly #states = new Map<string, readonly (readonly [dst: number, spi: number])[]>();

  constructor(root: Netns, iface: PublicInterface, { psk, random }: IpsecBackendOptions) {
    this.#root = root;
    this.#local = parseIp4(iface.address) ?? 0;
    this.#psk = psk;
    this.mtu = iface.mtu - OVERHEAD;
    this.#nonce = Array.from({ length: 16 }, () => random.int(0, 255).toString(16).padStart(2, '0')).join('');
    this.data = { Nonce: this.#nonce };
  }

  prepare(): void {}

  up(subnet: string): void {
    this.#subnet = parsePrefix(subnet);
  }

  setPeer(lease: LeaseFacts, old: LeaseFacts | null): boolean {
    const remote = parseIp4(lease.publicIP);
    const { Nonce: nonce } = lease.backendData;
    if (remote === null || typeof nonce !== 'string') return false;
    if (old !== null) this.removePeer(old);
    const own = { address: this.#local, nonce: this.#nonce };
    const peer = { address: remote, nonce };
    this.#states.set(lease.subnet, [this.#associate(own, peer), this.#associate(peer, own)]);
    this.#policies(lease, (dir, src, dst, from, to) =>
      this.#root.xfrm.spd.set(
        {
          dir,
          src,
          dst,
          ...ANY_PROTOCOL,
          action: 'allow',
          priority: 0,
          limits: UNLIMITED,
          template: { src: from, dst: to, spi: 0, reqid: REQID, mode: 'tunnel', level: 'required' },
        },
        'update',
      ),
    );
    return true;
  }

  removePeer(lease: LeaseFacts): void {
    const { xfrm } = this.#root;
    for (const [dst, spi] of this.#states.get(lease.subnet) ?? []) ifThere(() => xfrm.sad.remove(dst, spi));
    this.#states.delete(lease.subnet);
    this.#policies(lease, (dir, src, dst) =>
      ifThere(() => xfrm.spd.remove({ dir, src, dst, ...ANY_PROTOCOL })),
    );
  }

  stop(): void {}

  /** The association from one node to another. */
  #associate(
    from: { readonly address: number; readonly nonce: string },
    to: { readonly address: number; readonly nonce: string },
  ): readonly [dst: number, spi: number] {
    const context = `${formatIp4(from.address)} ${from.nonce} ${formatIp4(to.address)} ${to.nonce}`;
    const { spi, suite } = espKeys(this.#psk, context);
    const options = { src: from.address, dst: to.address, spi, reqid: REQID, mode: 'tunnel' } as const;
    ifThere(() => this.#root.xfrm.sad.remove(to.address, spi));
    this.#root.xfrm.sad.set(
      {
        ...options,
        replayWindow: REPLAY_WINDOW,
        suite,
        esn: 'off',
        // As flannel's strongSwan has it.
        inner: 'any',
        encap: null,
        limits: UNLIMITED,
      },
      'add',
    );
    return [to.address, spi];
  }

  #policies(
    lease: LeaseFacts,
    each: (dir: XfrmDirection, src: Prefix, dst: Prefix, from: number, to: number) => void,
  ): void {
    const own = this.#subnet;
    const theirs = parsePrefix(lease.subnet);
    const remote = parseIp4(lease.publicIP);
    if (own === null || theirs === null || remote === null) return;
    each('out', own, theirs, this.#local, remote);
    each('in', theirs, own, remote, this.#local);
    each('fwd', theirs, own, remote, this.#local);
  }
}

function ifThere(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
}
