import type { WireguardDevice, WireguardSettings } from '../../kernel/tunnels/wireguard.ts';
import { type ToolContext, ToolError, type ToolOutput } from '../tool.ts';
import { applyChange, type Mutable, type PeerChange } from './change.ts';
import { SET_USAGE } from './usage.ts';
import { allowedIpsOf, endpointOf, keepaliveOf, keyFile, keyOf, markOf, portOf } from './values.ts';

/** `wg set DEV …`: everything is read before anything is changed. @throws ToolError */
export function set(
  device: () => WireguardDevice,
  args: readonly string[],
  ctx: ToolContext,
  out: Pick<ToolOutput, 'stderr'>,
): void {
  const settings: Mutable<WireguardSettings> = {};
  const peers: PeerChange[] = [];
  let at = 0;
  const value = (): string => {
    const word = args[at++];
    if (word === undefined) throw new ToolError(SET_USAGE, 1);
    return word.replaceAll(/\s/g, '');
  };
  while (at < args.length) {
    const word = args[at++]!;
    const peer = peers.at(-1);
    if (word === 'peer') peers.push({ publicKey: keyOf(value()), remove: false, settings: {} });
    else if (peer === undefined) {
      if (at === args.length) throw new ToolError(`Invalid argument: ${word}`, 1);
      if (word === 'listen-port') settings.listenPort = portOf(value());
      else if (word === 'fwmark') settings.fwmark = markOf(value());
      else if (word === 'private-key') settings.privateKey = keyFile(value(), ctx);
      else throw new ToolError(`Invalid argument: ${word}`, 1);
    } else if (word === 'remove') peer.remove = true;
    else {
      if (at === args.length) throw new ToolError(`Invalid argument: ${word}`, 1);
      if (word === 'preshared-key') peer.settings.presharedKey = keyFile(value(), ctx);
      else if (word === 'endpoint') peer.settings.endpoint = endpointOf(value());
      else if (word === 'persistent-keepalive') peer.settings.persistentKeepalive = keepaliveOf(value());
      else if (word === 'allowed-ips') peer.settings.allowedIps = allowedIpsOf(value(), out);
      else throw new ToolError(`Invalid argument: ${word}`, 1);
    }
  }
  applyChange(device(), { settings, peers, removes: 'none' });
}
