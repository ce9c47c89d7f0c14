import { NetlinkError } from '../../kernel/netlink.ts';
import type {
  WireguardDevice,
  WireguardPeerSettings,
  WireguardSettings,
} from '../../kernel/tunnels/wireguard.ts';
import { ToolError } from '../tool.ts';

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface PeerChange {
  readonly publicKey: Uint8Array;
  remove: boolean;
  readonly settings: Mutable<WireguardPeerSettings>;
}

/** What `wg set` and the configuration files ask for. */
export interface WireguardChange {
  readonly settings: WireguardSettings;
  readonly peers: readonly PeerChange[];
  /** 'all' of the peers that are there go first; 'absent': those that are not named. */
  readonly removes: 'none' | 'all' | 'absent';
}

/** @throws ToolError */
export function applyChange(device: WireguardDevice, { settings, peers, removes }: WireguardChange): void {
  try {
    device.configure(settings);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw new ToolError(
      `Unable to modify interface: ${error.message.replace(/^RTNETLINK answers: /, '')}`,
      1,
    );
  }
  const named = (key: Uint8Array) =>
    peers.some(({ publicKey }) => publicKey.every((byte, i) => byte === key[i]));
  if (removes !== 'none')
    for (const { publicKey } of [...device.peers])
      if (removes === 'all' || !named(publicKey)) device.removePeer(publicKey);
  for (const { publicKey, remove, settings: change } of peers) {
    if (remove) device.removePeer(publicKey);
    else device.setPeer(publicKey, change);
  }
}
