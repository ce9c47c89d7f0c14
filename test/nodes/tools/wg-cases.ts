import { readFileSync } from 'node:fs';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { clampKey, formatKey, publicKeyOf } from '../../../protocols/wireguard/crypto.ts';
import { run } from './support/run.ts';

export const secret = (n: number) => clampKey(new Uint8Array(32).fill(n));
export const publicOf = (n: number) => formatKey(publicKeyOf(secret(n)));

/** wireguard-go lists peers in no order, and has chosen a port where none is. */
const settled = (text: string) =>
  text
    .split(/(?<=\n)(?=\[|peer: |[A-Za-z0-9+/]{43}=\t)|(?<=\n)\n/)
    .map((part) => part.trimEnd())
    .sort()
    .join('\n');

/** What is printed, without the port that was chosen, which is chance, and what is sent to nobody, the implementation's own matter. */
const chosen = (text: string) =>
  text
    .replaceAll(/\b[34567]\d{4}\b/g, 'PORT')
    .replaceAll(/\t\d+\t\d+(?=\t(off|\d+)$)/gm, '')
    .replaceAll(/^ {2}transfer: .*\n/gm, '');

/** What `wg` lists of a device after each command, so that it does not depend on chance, nor on the device's name. */
export const WG_LISTINGS = ['show DEVICE dump', 'showconf DEVICE', 'show DEVICE'];
export const wgListing = (text: string, device: string) => settled(chosen(text)).replaceAll(device, 'DEVICE');

const ONE = `PublicKey = ${publicOf(1)}`;
const KEY = formatKey(secret(7));
/** A command, in which `DEVICE` is the device's name and `FILE` that of a file of the content beside it. */
export type WgStep = readonly [command: string, file?: string];

export interface WgCase {
  /** What wg does, as a sentence. */
  readonly name: string;
  readonly steps: readonly WgStep[];
}

/** Of each step what is said, how it ends, and what there is then. */
export type WgAnswers = readonly (readonly string[])[];

export const WG_RECORD = new URL('recorded/wg.json', import.meta.url);

export function recordedWg(): Readonly<Record<string, WgAnswers>> {
  return JSON.parse(readFileSync(WG_RECORD, 'utf8')) as Record<string, WgAnswers>;
}

export const wgLine = (command: string, device: string, file: string): string =>
  command
    .replace(/^(\w+conf) /, `$1 DEVICE `)
    .replace('DEVICE', device)
    .replace('FILE', file);

/** What our wg answers to a case. */
export function ourWg(ns: Netns, device: string, { steps }: WgCase): WgAnswers {
  return steps.map(([command, content]) => {
    const files = (path: string) => (path === 'FILE' ? (content ?? null) : null);
    const { text, code } = run(`wg ${wgLine(command, device, 'FILE')}`, ns, { files });
    return [
      `${text}exit ${code}`,
      ...WG_LISTINGS.map((line) => wgListing(run(`wg ${line.replace('DEVICE', device)}`, ns).text, device)),
    ];
  });
}

/** Each follows upon those before. */
export const WG_CASES: readonly WgCase[] = [
  {
    name: 'a file is all that there is to be, is added, or is made so',
    steps: [
      ['setconf FILE', `[Interface]\nListenPort = 7\nFwMark=0x10\nPrivateKey = ${KEY}`],
      [
        'addconf FILE',
        `# hello\n[Peer]  # x\npublickey = ${publicOf(1)}\nAllowedIPs = 10.0.0.5/24, fd00::1/64,10.2.0.0/16\nEndpoint=1.2.3.4:5\nPersistentKeepalive = off\n`,
      ],
      ['addconf FILE', `[Peer]\n${ONE}\nPersistentKeepalive = 25\n`],
      [
        'addconf FILE',
        `[peer]\n${ONE}\nPRESHAREDKEY = ${formatKey(secret(8))}\nEndpoint=[fd00::9]:65535\n[Peer]\nPublicKey=${publicOf(2)}\nAllowedIPs=0.0.0.0/0,::/0`,
      ],
      [
        'syncconf FILE',
        `[Interface]\nListenPort=8\nPrivateKey=${KEY}\n[Peer]\n${ONE}\nAllowedIPs=10.7.0.0/16\nAllowedIPs=10.8.0.0/16\nAllowedIPs=10.7.0.0/16\n`,
      ],
      ['syncconf FILE', `[Interface]\nListenPort=8\n[Peer]\n${ONE}\n`],
    ],
  },
  {
    name: 'a private key that is set again is the same',
    steps: [
      ['set DEVICE private-key FILE', KEY],
      ['set DEVICE private-key FILE', KEY],
      ['syncconf FILE', `[Interface]\nListenPort=8\nPrivateKey=${KEY}\n`],
      [`set DEVICE peer ${publicOf(7)} allowed-ips 10.6.0.0/16`],
    ],
  },
  {
    name: 'a port is at most 65535',
    steps: [
      ['set DEVICE listen-port 65535'],
      ['set DEVICE listen-port 65536'],
      [`set DEVICE peer ${publicOf(1)} endpoint 1.2.3.4:65535`],
      [`set DEVICE peer ${publicOf(1)} endpoint 1.2.3.4:65536`],
      [`setconf FILE`, `[Peer]\n${ONE}\nEndpoint=1.2.3.4:70000\n`],
    ],
  },
  {
    name: 'allowed IPs with host bits lose them, with a word about it',
    steps: [
      [`set DEVICE peer ${publicOf(3)} allowed-ips 10.0.0.1/8,10.0.0.0/8,fd00::5/16`],
      ['addconf FILE', `[Peer]\nPublicKey=${publicOf(3)}\nAllowedIPs=10.1.2.3/16, fd01::5/17\n`],
    ],
  },
  {
    name: 'what is no setting, no file and no value is refused',
    steps: [
      [
        'addconf FILE',
        `[Interface]\nListenPort=12\n[Peer]\nPublicKey=${publicOf(2)}\nAllowedIPs=10.7.0.0/16`,
      ],
      ['addconf FILE', `[Peer]\n${ONE}\nPublicKey=${publicOf(2)}\n`],
      ['setconf FILE', '[Peer]\nAllowedIPs=1.2.3.4\n'],
      ['setconf FILE', '[Peer] x\n'],
      ['setconf FILE', '[Foo]\n'],
      ['setconf FILE', 'ListenPort=1\n'],
      ['setconf FILE', '[Interface]\nAddress = 1.2.3.4\n'],
      ['setconf FILE', '[Interface]\nListenPort=\n'],
      ['setconf FILE', '[Interface]\nListenPort=x\n'],
      ['setconf FILE', '[Interface]\nFwMark=x\n'],
      ['setconf FILE', '[Interface]\nPrivateKey=x\n'],
      ['setconf FILE', `[Peer]\n${ONE}\nEndpoint=\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nEndpoint=[::1\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nEndpoint=[::1]\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nAllowedIPs=\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nAllowedIPs=1.2.3.4/33\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nAllowedIPs=x\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nAllowedIPs=10.0.0.1,\n`],
      ['setconf FILE', `[Peer]\n${ONE}\nPersistentKeepalive=70000\n`],
      ['setconf FILE', `[Interface]\n[Peer]\n${ONE}\nEndpoint=::1:5\n[Interface]\nListenPort=70000\n`],
      ['setconf FILE', '[Interface]\nListenPort = 9\n'],
      ['setconf /nonexistent'],
      ['setconf'],
      ['syncconf FILE x', ''],
      ...[
        'endpoint :5',
        'endpoint 1.2.3.4:',
        'endpoint 1.2.3.4:70000',
        'endpoint 1.2.3.4:0',
        'endpoint [1.2.3.4]:5',
        'endpoint 1.2.3.4',
        'endpoint [::1]5',
        'allowed-ips 10.0.0.1/8,10.0.0.0/8,fd00::5/16',
        'allowed-ips 10.0.0.1/x',
        'allowed-ips 10.0.0.1/',
        'allowed-ips 10.0.0.1/1/2',
        'allowed-ips 10.0.0.0/08',
        'allowed-ips 010.0.0.0/8',
        'persistent-keepalive -1',
        'persistent-keepalive 65535',
        'persistent-keepalive 0',
        'preshared-key /nonexistent',
        'preshared-key /dev/null',
        'endpoint',
        'remove remove',
      ].map((words) => [`set DEVICE peer ${publicOf(3)} ${words}`] as const),
      [`set DEVICE peer ${publicOf(4)} preshared-key FILE`, 'short'],
      [`set DEVICE peer ${publicOf(4)} preshared-key FILE`, `${KEY}\n x`],
      [`set DEVICE peer ${publicOf(4)} preshared-key FILE`, `${KEY}\n`],
      ...[
        'listen-port',
        'listen-port 70001',
        'listen-port -1',
        'fwmark off',
        'fwmark 0xfffffffff',
        'fwmark 12x',
        'fwmark',
      ].map((words) => [`set DEVICE ${words}`] as const),
      ['set DEVICE private-key FILE', KEY],
      ['set DEVICE private-key /dev/null'],
    ],
  },
];
