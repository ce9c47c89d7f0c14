import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { WireguardDevice } from '../../../nodes/kernel/tunnels/wireguard.ts';
import { parseIp, parseIpPrefix } from '../../../protocols/ip.ts';
import { publicKeyOf } from '../../../protocols/wireguard/crypto.ts';
import { run } from '../../nodes/tools/support/run.ts';
import {
  recordedWg,
  secret,
  WG_CASES,
  WG_LISTINGS,
  WG_RECORD,
  type WgAnswers,
  type WgStep,
  wgLine,
  wgListing,
} from '../../nodes/tools/wg-cases.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { EmulatedPorts } from '../../support/router.ts';
import { LinuxNamespace } from './namespace.ts';
import { linuxTestWith, runs } from './suite.ts';

/** Our wg beside wireguard-tools', which asks wireguard-go or a server of ours for a device by a socket of the device's name. */
const DEVICE = `wt${process.pid}`;
const SOCKETS = '/var/run/wireguard';

/** Ours with a device of the name; it is up, as wireguard-go's always is. */
function emulated() {
  const ports = new EmulatedPorts([{ name: 'eth0' }]);
  for (const line of [`ip link add ${DEVICE} type wireguard`, `ip link set ${DEVICE} up`])
    assert.equal(run(line, ports.root).code, 0);
  const device = ports.root.device(DEVICE);
  assert.ok(device instanceof WireguardDevice);
  return { ports, device };
}

linuxTestWith(
  'wireguard-go',
  'wg',
  '/dev/net/tun',
)('what wg takes, and what it makes of a device, is still as it is recorded', async (t) => {
  const folder = temporaryFolder(t);
  const linux = await LinuxNamespace.start(
    [{ name: 'v0' }],
    [
      `WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 wireguard-go ${DEVICE} >/dev/null 2>&1`,
      `timeout 10 sh -c 'until wg show ${DEVICE} >/dev/null 2>&1; do sleep 0.01; done'`,
    ],
  );
  t.teardown(async () => {
    await linux.run(`ip link del ${DEVICE}`);
    linux.stop();
  });
  const file = join(folder, 'wg.conf');
  const answer = async ([command, content]: WgStep): Promise<string[]> => {
    if (content !== undefined) writeFileSync(file, content);
    const line = wgLine(command, DEVICE, file);
    const { stdout, stderr, code } = await linux.outcome(`WG_ENDPOINT_RESOLUTION_RETRIES=0 wg ${line}`);
    const said = [`${stdout}${stderr}exit ${code}`];
    for (const listing of WG_LISTINGS)
      said.push(wgListing(await linux.run(`wg ${listing.replace('DEVICE', DEVICE)}`), DEVICE));
    return said;
  };
  const answers: Record<string, WgAnswers> = {};
  for (const { name, steps } of WG_CASES) {
    const said: string[][] = [];
    for (const step of steps) said.push(await answer(step));
    answers[name] = said;
  }
  if (process.env.RECORD === '1') {
    mkdirSync(new URL('.', WG_RECORD), { recursive: true });
    writeFileSync(WG_RECORD, `${JSON.stringify(answers, null, 1)}\n`);
  }
  t.deepEqual(answers, recordedWg());
});

// ---- what is shown

interface ShownPeer {
  readonly psk: boolean;
  readonly endpoint: string;
  readonly allowedIps: readonly string[];
  readonly keepalive: number;
  /** Seconds since, null for never. */
  readonly age: number | null;
  readonly received: number;
  readonly sent: number;
}

const size = fc.oneof(
  fc.nat(2_000),
  fc.integer({ min: 0, max: 2 ** 31 }),
  fc.integer({ min: 0, max: 2 ** 51 }),
  fc.constantFrom(0, 1023, 1024, 1024 ** 2 - 1, 1024 ** 2, 1024 ** 3, 1024 ** 4),
);
const shownPeer: fc.Arbitrary<ShownPeer> = fc.record({
  psk: fc.boolean(),
  endpoint: fc.constantFrom('', '192.0.2.1:51820', '[2001:db8::1]:1', '10.0.0.1:65535'),
  allowedIps: fc.uniqueArray(
    fc.constantFrom('10.0.N.0/24', '192.0.2.N/32', 'fd00:0:0:N::/64', '2001:db8::N/128'),
  ),
  keepalive: fc.constantFrom(0, 1, 25, 60, 61, 3_600, 65_535),
  age: fc.option(fc.oneof(fc.nat(200), fc.nat(100_000), fc.nat(100_000_000))),
  received: size,
  sent: size,
});
const shownDevice = fc.record({
  key: fc.boolean(),
  port: fc.constantFrom(1, 51_820, 65_535),
  fwmark: fc.constantFrom(0, 1, 0xffff_ffff),
  peers: fc.array(shownPeer, { maxLength: 4 }),
});
type ShownDevice = typeof shownDevice extends fc.Arbitrary<infer D> ? D : never;

/** Of the endpoints of all interfaces the second one has no interface before it. */
const PEER = { psk: false, allowedIps: [], keepalive: 0, age: null, received: 0, sent: 0 };
const SOME_PEERS: ShownDevice = {
  ...{ key: true, port: 1, fwmark: 0 },
  peers: [
    { ...PEER, endpoint: '192.0.2.1:51820' },
    { ...PEER, endpoint: '' },
    // Halves of a hundredth.
    { ...PEER, endpoint: '', received: 1152, sent: 1408 },
    { ...PEER, endpoint: '', received: 1664, sent: 1920 },
  ],
};

/** A prefix is one peer's alone: each has its own. */
const own = (prefix: string, peer: number) => prefix.replace('N', String(peer + 1));
const hex = (key: Uint8Array) => Buffer.from(key).toString('hex');

/** As the userspace implementations answer `get=1` (wireguard.com/xplatform). */
function answer({ key, port, fwmark, peers }: ShownDevice, now: number): string {
  const lines = [
    ...(key ? [`private_key=${hex(secret(99))}`] : []),
    `listen_port=${port}`,
    ...(fwmark === 0 ? [] : [`fwmark=${fwmark}`]),
    ...peers.flatMap(({ psk, endpoint, allowedIps, keepalive, age, received, sent }, i) => [
      `public_key=${hex(publicKeyOf(secret(i + 1)))}`,
      `preshared_key=${psk ? hex(secret(50)) : '0'.repeat(64)}`,
      'protocol_version=1',
      ...(endpoint === '' ? [] : [`endpoint=${endpoint}`]),
      `last_handshake_time_sec=${age === null ? 0 : now - age}`,
      `last_handshake_time_nsec=${age === null ? 0 : 7_000_000}`,
      `tx_bytes=${sent}`,
      `rx_bytes=${received}`,
      `persistent_keepalive_interval=${keepalive}`,
      ...allowedIps.map((prefix) => `allowed_ip=${own(prefix, i)}`),
    ]),
    'errno=0',
  ];
  return `${lines.join('\n')}\n\n`;
}

function fill(device: WireguardDevice, { key, port, fwmark, peers }: ShownDevice, now: number): void {
  device.configure({ privateKey: key ? secret(99) : null, listenPort: port, fwmark });
  for (const [i, { psk, endpoint, allowedIps, keepalive, age, received, sent }] of peers.entries()) {
    const publicKey = publicKeyOf(secret(i + 1));
    const [, host = '', at = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(endpoint) ?? [];
    device.setPeer(publicKey, {
      presharedKey: psk ? secret(50) : null,
      ...(endpoint === '' ? {} : { endpoint: { addr: parseIp(host)!, port: Number(at) } }),
    });
    const peer = device.findPeer(publicKey)!;
    // Nothing is sent: what is shown is all that matters.
    peer.persistentKeepalive = keepalive;
    peer.lastHandshake = age === null ? null : (now - age) * 1_000 + 7;
    peer.received = received;
    peer.sent = sent;
    device.setPeer(publicKey, { allowedIps: allowedIps.map((prefix) => parseIpPrefix(own(prefix, i))!) });
  }
}

const LISTINGS = [
  ...[
    '',
    ' public-key',
    ' private-key',
    ' listen-port',
    ' fwmark',
    ' peers',
    ' preshared-keys',
    ' endpoints',
    ' allowed-ips',
  ],
  ...[' latest-handshakes', ' transfer', ' persistent-keepalive', ' dump'],
].map((what) => `show ${DEVICE}${what}`);

/** The clock's second, at whose beginning this is called as soon as may be. */
const second = () => Math.floor(Date.now() / 1_000);

/** The real wg where the devices are those whose sockets a folder holds: there may be others on this machine. */
async function realWg(sockets: string, listing: string): Promise<string> {
  const script = `mount --bind '${sockets}' ${SOCKETS} && exec wg ${listing}`;
  const options = { encoding: 'utf8', timeout: 10_000 } as const;
  return (await promisify(execFile)('unshare', ['-m', 'sh', '-c', script], options)).stdout;
}

async function compare(sockets: string, state: ShownDevice, tell: (now: number) => void): Promise<void> {
  const { ports, device } = emulated();
  for (const listing of [
    ...LISTINGS,
    `showconf ${DEVICE}`,
    ...LISTINGS.slice(1).map((line) => line.replace(DEVICE, 'all')),
  ]) {
    let [now, real] = [0, ''];
    do {
      now = second();
      tell(now);
      real = await realWg(sockets, listing);
    } while (second() !== now);
    ports.world.advance(now * 1_000 - ports.rt.now);
    fill(device, state, now);
    const ours = run(`wg ${listing}`, ports.root);
    assert.equal(ours.text, real, listing);
  }
}

linuxTestWith('wg')('wg show prints what there is as the real wg does', async (t: ExecutionContext) => {
  mkdirSync(SOCKETS, { recursive: true });
  const sockets = temporaryFolder(t);
  let said = '';
  const server = createServer((socket) => socket.once('data', () => socket.end(said)));
  await new Promise<void>((listening) => server.listen(join(sockets, `${DEVICE}.sock`), listening));
  t.teardown(() => server.close());
  await fc.assert(
    fc.asyncProperty(shownDevice, (state) =>
      compare(sockets, state, (now) => {
        said = answer(state, now);
      }),
    ),
    { ...runs(8, 1), examples: [[SOME_PEERS]] },
  );
  t.pass();
});
