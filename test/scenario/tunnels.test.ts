import { EventEmitter, once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { listPods } from '../../orchestrator/pods.ts';
import { cli } from '../support/cli.ts';
import { addressOf, launch, run, verifies } from '../support/lab.ts';
import { temporaryFolder } from '../support/nats.ts';
import { readCapture } from '../support/pcapng.ts';
import { complaints, testWithTshark, tshark } from '../support/tshark.ts';

/**
 * What is between two pods on each of Flannel's backends (REFERENCE §3, §6): the MTU of a pod, bytes that the backend puts around
 * an inner packet of that size, and how tshark knows what is on the wire.
 */
const BACKENDS = {
  udp: { mtu: 1472, around: 28, wire: 'udp.port == 8285' },
  vxlan: { mtu: 1450, around: 50, wire: 'vxlan' },
  'host-gw': { mtu: 1500, around: 0, wire: 'icmp' },
  ipip: { mtu: 1480, around: 20, wire: 'ip.proto == 4' },
  // 20 IP, 8 UDP, 16 header, 16 tag.
  wireguard: { mtu: 1420, around: 60, wire: 'wg.type == 4' },
  // AES-GCM: 20 IP, 8 ESP, 8 IV, padding of 3 to a multiple of 4, 2 trailer, 16 ICV.
  ipsec: { mtu: 1423, around: 57, wire: 'esp' },
} as const;

/** Ports that Wireshark does not know flannel by. */
const DECODE_AS = ['-d', 'udp.port==8285,ip', '-d', 'udp.port==8472,vxlan'];

type BackendName = keyof typeof BACKENDS;

function yaml(backend: BackendName): string {
  const psk = backend === 'ipsec' ? `\n  flannel: { psk: ${'k'.repeat(96)} }` : '';
  const node = backend === 'ipsec' ? '{ kind: node, gateway: 192.168.0.1 }' : '{ kind: node }';
  return `
name: scn-tunnel-${backend}
topology:
  nodes:
    n1: ${node}
    n2: ${node}
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, nodes: all }
cluster:
  cni: flannel
  backend: ${backend}${psk}
  podCIDR: 10.244.0.0/16
  pods: 1
`;
}

/** What tshark has to be told to read what the nodes have sealed. */
async function keysOf(lab: BusLab, backend: BackendName, folder: string): Promise<string[]> {
  if (backend === 'wireguard') {
    const file = join(folder, 'wg.keys');
    writeFileSync(file, (await run(lab, 'n2', 'extract-handshakes')).output);
    return ['-o', `wg.keylog_file:${file}`];
  }
  if (backend !== 'ipsec') return [];
  const { output } = await run(lab, 'n1', 'ip xfrm state');
  const states = [
    ...output.matchAll(
      /^src (\S+) dst (\S+)\n\tproto esp spi (0x\w+)[\s\S]*?\taead rfc4106\(gcm\(aes\)\) (0x\w+) 128$/gm,
    ),
  ];
  const associations = states.flatMap(([, src, dst, spi, key]) => [
    '-o',
    `uat:esp_sa:"IPv4","${src}","${dst}","${spi}","AES-GCM with 16 octet ICV [RFC4106]","${key}","NULL",""`,
  ]);
  return ['-o', 'esp.enable_encryption_decode:TRUE', ...associations];
}

/** Pings with so much data, fragmentation forbidden or not. */
async function pingOf(
  lab: BusLab,
  target: string,
  size: number,
  how: 'do' | 'dont',
): Promise<{ readonly answered: boolean; readonly output: string }> {
  const line = `ping -n -c 1 -W 5 -M ${how} -s ${size} ${target}`;
  const { code, output } = await run(lab, 'web-n1-1', line);
  return { answered: code === 0, output };
}

/** TCP from one pod to the other: all of it arrives. */
async function iperf(t: ExecutionContext, lab: BusLab, target: string): Promise<void> {
  const [pod] = (await listPods(lab)).filter(({ spec }) => spec.node === 'n2');
  const stop = new AbortController();
  const said = new EventEmitter();
  const listening = once(said, 'listening');
  const reported = once(said, 'reported');
  let text = '';
  const server = lab.command(
    'n2',
    { type: 'exec', pod: `${pod?.spec.namespace}/${pod?.spec.name}`, argv: ['iperf', '-s', '-f', 'K'] },
    {
      signal: stop.signal,
      onReply: (part) => {
        text += part.type === 'stdout' ? part.text : '';
        if (text.includes('listening')) said.emit('listening');
        if (text.includes('KBytes/sec\n')) said.emit('reported');
      },
    },
  );
  await listening;
  const { code, output } = await run(lab, 'web-n1-1', `iperf -c ${target} -n 512K`);
  t.is(code, 0, output);
  await reported;
  stop.abort();
  await server;
  t.regex(text, / 512 KBytes /);
}

for (const [backend, { mtu, around, wire }] of Object.entries(BACKENDS) as [
  BackendName,
  (typeof BACKENDS)[BackendName],
][]) {
  testWithTshark(
    `flannel ${backend} with real processes: full packets, larger ones, TCP, and what is on the wire`,
    async (t) => {
      const { lab } = await launch(t, yaml(backend));
      const target = await addressOf(lab, 'web-n2-1');
      t.regex((await run(lab, 'web-n1-1', 'ip link show eth0')).output, new RegExp(` mtu ${mtu} `));
      const folder = temporaryFolder(t);
      const file = join(folder, 'wire.pcapng');
      const ping = `web-n1-1 ping -n -c 2 -i 0.1 -M do -s ${mtu - 28} ${target}`;
      const argv = ['capture', 'lan', '--lab', lab.name, '-w', file, '--exec', ping];
      const captured = await cli(t, process.env.REROUTE_HOME ?? '', ...argv);
      t.is(captured.code, 0, captured.stderr);
      t.regex(captured.stderr, /2 received, 0% packet loss/);

      t.deepEqual(await complaints(file), []);
      const sealed = backend === 'wireguard' || backend === 'ipsec';
      const lengths = await tshark(
        file,
        ...DECODE_AS,
        '-Y',
        `${wire} && frame.len > 1000`,
        '-T',
        'fields',
        '-e',
        'frame.len',
      );
      t.deepEqual(lengths, Array(4).fill(String(14 + mtu + around)));
      // Of the pods the wire shows what the backend does not seal.
      const shown = readCapture(readFileSync(file)).packets.filter(
        ({ data }) => Buffer.from(data).indexOf(Buffer.from(target.split('.').map(Number))) >= 0,
      );
      t.is(shown.length > 0, !sealed);
      const options = [...(await keysOf(lab, backend, folder)), ...DECODE_AS];
      const inner = await tshark(
        file,
        ...options,
        '-Y',
        'icmp',
        '-T',
        'fields',
        '-e',
        'ip.len',
        '-e',
        'ip.dst',
      );
      t.is(inner.length, 4);
      t.deepEqual(
        inner
          .filter((line) => line.split('\t')[1]!.endsWith(target))
          .map((line) => line.split('\t')[0]!.split(',').at(-1)),
        [String(mtu), String(mtu)],
      );

      const tooLong = await pingOf(lab, target, mtu - 27, 'do');
      t.false(tooLong.answered);
      t.regex(tooLong.output, new RegExp(`[Mm]essage too long, mtu=${mtu}`));
      const large = await pingOf(lab, target, 6_000, 'dont');
      t.true(large.answered, large.output);
      await iperf(t, lab, target);
      await verifies(t, lab);
    },
  );
}
