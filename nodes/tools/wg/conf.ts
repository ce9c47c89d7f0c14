import type { WireguardSettings } from '../../kernel/tunnels/wireguard.ts';
import { ToolError, type ToolOutput } from '../tool.ts';
import type { Mutable, PeerChange, WireguardChange } from './change.ts';
import { allowedIpsOf, endpointOf, keepaliveOf, keyOf, markOf, portOf } from './values.ts';

/** What a file is for: all that there is to be, more of it, or that with as little change as there may be. */
export type ConfMode = 'setconf' | 'addconf' | 'syncconf';

interface Section extends Omit<PeerChange, 'publicKey'> {
  publicKey: Uint8Array | null;
}

/** Reads a configuration file of wg(8) (config.c). @throws ToolError */
export function readConf(text: string, mode: ConfMode, out: Pick<ToolOutput, 'stderr'>): WireguardChange {
  // What the file does not say is none, unless it adds to what there is.
  const settings: Mutable<WireguardSettings> =
    mode === 'addconf' ? {} : { privateKey: null, listenPort: 0, fwmark: 0 };
  const peers: Section[] = [];
  let section: 'none' | 'interface' | 'peer' = 'none';
  for (const written of text.split('\n')) {
    const line = written.replace(/#.*/, '').replaceAll(/\s/g, '');
    if (line === '') continue;
    const [, name = '', value = ''] = /^([A-Za-z]+)=(.+)$/.exec(line) ?? [];
    const unknown = () => new ToolError(`Line unrecognized: \`${line}'`, 1);
    if (line.toLowerCase() === '[interface]') section = 'interface';
    else if (line.toLowerCase() === '[peer]') {
      section = 'peer';
      peers.push({ publicKey: null, remove: false, settings: { allowedIps: [] } });
    } else if (section === 'interface') {
      if (!setInterface(settings, name.toLowerCase(), value)) throw unknown();
    } else {
      const peer = section === 'peer' ? peers.at(-1) : undefined;
      if (peer === undefined || !setPeer(peer, name.toLowerCase(), value, out)) throw unknown();
    }
  }
  const named = peers.map(({ publicKey, ...rest }) => {
    if (publicKey === null) throw new ToolError('A peer is missing a public key\nInvalid configuration', 1);
    return { publicKey, ...rest };
  });
  const removes = ({ setconf: 'all', addconf: 'none', syncconf: 'absent' } as const)[mode];
  return { settings, peers: named, removes };
}

/** False where there is no such setting. */
function setInterface(settings: Mutable<WireguardSettings>, name: string, value: string): boolean {
  if (name === 'listenport') settings.listenPort = portOf(value);
  else if (name === 'fwmark') settings.fwmark = markOf(value);
  else if (name === 'privatekey') settings.privateKey = keyOf(value);
  else return false;
  return true;
}

function setPeer(peer: Section, name: string, value: string, out: Pick<ToolOutput, 'stderr'>): boolean {
  const { settings } = peer;
  if (name === 'publickey') peer.publicKey = keyOf(value);
  else if (name === 'presharedkey') settings.presharedKey = keyOf(value);
  else if (name === 'endpoint') settings.endpoint = endpointOf(value);
  else if (name === 'persistentkeepalive') settings.persistentKeepalive = keepaliveOf(value);
  else if (name === 'allowedips')
    settings.allowedIps = [...(settings.allowedIps ?? []), ...allowedIpsOf(value, out)];
  else return false;
  return true;
}
