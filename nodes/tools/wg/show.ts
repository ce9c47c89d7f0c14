import { formatKey } from '../../../protocols/wireguard/crypto.ts';
import type { WireguardDevice } from '../../kernel/tunnels/wireguard.ts';

/** A peer as wg(8) has it: what the kernel says of it, with its counters and its secret. */
interface ShownPeer {
  readonly publicKey: string;
  /** '' if there is none. */
  readonly presharedKey: string;
  readonly endpoint: string;
  readonly allowedIps: readonly string[];
  readonly persistentKeepalive: number;
  /** ms, null for never. */
  readonly latestHandshake: number | null;
  readonly received: number;
  readonly sent: number;
}

function peersOf(device: WireguardDevice): ShownPeer[] {
  return device.peers.map((peer) => {
    const { presharedKey, ...facts } = device.peerFacts(peer);
    return {
      ...facts,
      presharedKey: presharedKey ? formatKey(peer.presharedKey) : '',
      latestHandshake: peer.lastHandshake,
      received: peer.received,
      sent: peer.sent,
    };
  });
}

/** `wg show DEV`, for people. `now` is in ms. */
export function prettyText(device: WireguardDevice, now: number): string {
  const { dev, publicKey, listenPort, fwmark } = device.wireguardFacts();
  const lines = [`interface: ${dev}`];
  if (publicKey !== '') lines.push(`  public key: ${publicKey}`, '  private key: (hidden)');
  if (listenPort !== 0) lines.push(`  listening port: ${listenPort}`);
  if (fwmark !== 0) lines.push(`  fwmark: 0x${fwmark.toString(16)}`);
  const peers = peersOf(device).sort((a, b) => (b.latestHandshake ?? -1) - (a.latestHandshake ?? -1));
  for (const peer of peers) lines.push('', ...peerLines(peer, Math.floor(now / 1000)));
  return `${lines.join('\n')}\n`;
}

function peerLines(peer: ShownPeer, now: number): string[] {
  const { allowedIps, latestHandshake, received, sent, persistentKeepalive } = peer;
  const lines = [`peer: ${peer.publicKey}`];
  if (peer.presharedKey !== '') lines.push('  preshared key: (hidden)');
  if (peer.endpoint !== '') lines.push(`  endpoint: ${peer.endpoint}`);
  lines.push(`  allowed ips: ${allowedIps.length === 0 ? '(none)' : allowedIps.join(', ')}`);
  if (latestHandshake !== null)
    lines.push(`  latest handshake: ${ago(now - Math.floor(latestHandshake / 1000))}`);
  if (received !== 0 || sent !== 0)
    lines.push(`  transfer: ${bytesText(received)} received, ${bytesText(sent)} sent`);
  if (persistentKeepalive !== 0) lines.push(`  persistent keepalive: every ${timeText(persistentKeepalive)}`);
  return lines;
}

function ago(seconds: number): string {
  return seconds <= 0 ? 'Now' : `${timeText(seconds)} ago`;
}

const UNITS = [
  ['year', 365 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** `2 minutes, 5 seconds` */
function timeText(seconds: number): string {
  let left = seconds;
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left %= size;
    if (count > 0) parts.push(`${count} ${unit}${count === 1 ? '' : 's'}`);
  }
  return parts.join(', ');
}

/** `92 B`, `1.02 KiB` */
function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  // Half a hundredth is printf's to round to an even digit, and toFixed's to round up.
  const shown = (value * 8) % 4 === 1 ? value - 0.005 : value;
  return `${shown.toFixed(2)} ${'KMGT'[power - 1]}iB`;
}

const secondsText = (at: number | null) => String(Math.floor((at ?? 0) / 1000));
const none = (text: string) => (text === '' ? '(none)' : text);
const off = (value: number, text = String(value)) => (value === 0 ? 'off' : text);
const markText = (fwmark: number) => off(fwmark, `0x${fwmark.toString(16)}`);

/** One of the script-friendly listings, `prefix` before each line; null if there is none of that name. */
export function scriptText(device: WireguardDevice, what: string, prefix: string): string | null {
  const { publicKey, listenPort, fwmark } = device.wireguardFacts();
  const own = device.privateKey === null ? '' : formatKey(device.privateKey);
  const lines = (items: readonly string[]) => items.map((item) => `${prefix}${item}\n`).join('');
  const perPeer = (text: (peer: ShownPeer) => string) =>
    lines(peersOf(device).map((peer) => `${peer.publicKey}\t${text(peer)}`));
  switch (what) {
    case 'public-key':
      return lines([none(publicKey)]);
    case 'private-key':
      return lines([none(own)]);
    case 'listen-port':
      return lines([String(listenPort)]);
    case 'fwmark':
      return lines([markText(fwmark)]);
    case 'peers':
      return lines(peersOf(device).map((peer) => peer.publicKey));
    case 'preshared-keys':
      return perPeer(({ presharedKey }) => none(presharedKey));
    case 'endpoints':
      // The real one names the interface once, also where it has no peer.
      return `${prefix}${peersOf(device)
        .map(({ publicKey: key, endpoint }) => `${key}\t${none(endpoint)}\n`)
        .join('')}`;
    case 'allowed-ips':
      return perPeer(({ allowedIps }) => none(allowedIps.join(' ')));
    case 'latest-handshakes':
      return perPeer(({ latestHandshake }) => secondsText(latestHandshake));
    case 'transfer':
      return perPeer(({ received, sent }) => `${received}\t${sent}`);
    case 'persistent-keepalive':
      return perPeer(({ persistentKeepalive }) => off(persistentKeepalive));
    case 'dump':
      return (
        lines([[none(own), none(publicKey), listenPort, markText(fwmark)].join('\t')]) +
        perPeer((peer) =>
          [
            none(peer.presharedKey),
            none(peer.endpoint),
            none(peer.allowedIps.join(',')),
            secondsText(peer.latestHandshake),
            peer.received,
            peer.sent,
            off(peer.persistentKeepalive),
          ].join('\t'),
        )
      );
    default:
      return null;
  }
}

/** `wg showconf DEV` */
export function confText(device: WireguardDevice): string {
  const { listenPort, fwmark } = device.wireguardFacts();
  const sections = [
    [
      '[Interface]',
      ...(listenPort === 0 ? [] : [`ListenPort = ${listenPort}`]),
      ...(fwmark === 0 ? [] : [`FwMark = ${markText(fwmark)}`]),
      ...(device.privateKey === null ? [] : [`PrivateKey = ${formatKey(device.privateKey)}`]),
    ],
    ...peersOf(device).map((peer) => [
      '[Peer]',
      `PublicKey = ${peer.publicKey}`,
      ...(peer.presharedKey === '' ? [] : [`PresharedKey = ${peer.presharedKey}`]),
      ...(peer.allowedIps.length === 0 ? [] : [`AllowedIPs = ${peer.allowedIps.join(', ')}`]),
      ...(peer.endpoint === '' ? [] : [`Endpoint = ${peer.endpoint}`]),
      ...(peer.persistentKeepalive === 0 ? [] : [`PersistentKeepalive = ${peer.persistentKeepalive}`]),
    ]),
  ];
  const text = sections.map((section) => `${section.join('\n')}\n`).join('\n');
  return sections.length === 1 ? `${text}\n` : text;
}
