import { formatKey } from '../../../protocols/wireguard/crypto.ts';
import { WireguardDevice } from '../../kernel/tunnels/wireguard.ts';
import { type Command, ToolError } from '../tool.ts';

/**
 * `extract-handshakes.sh` of wireguard-tools (contrib/extract-handshakes): the keys of handshakes, as Wireshark's
 * `wg.keylog_file` takes them. The real one prints those that come from now on; this one those that have been.
 */
export const extractHandshakes: Command = (args, ctx, out) => {
  if (args.length > 0) throw new ToolError('Usage: extract-handshakes', 1);
  for (const device of ctx.ns.devices()) {
    if (!(device instanceof WireguardDevice)) continue;
    for (const peer of device.peers)
      for (const { staticPrivate, ephemeralPrivate, presharedKey } of peer.handshakes)
        out.stdout(
          `New handshake session:
  LOCAL_STATIC_PRIVATE_KEY = ${formatKey(staticPrivate)}
  REMOTE_STATIC_PUBLIC_KEY = ${formatKey(peer.publicKey)}
  LOCAL_EPHEMERAL_PRIVATE_KEY = ${formatKey(ephemeralPrivate)}
  PRESHARED_KEY = ${formatKey(presharedKey)}
`,
        );
  }
  return 0;
};
