import { writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Child, freePort } from '../process.ts';
import { TARGET } from '../workload.ts';
import { type Daemon, peersOf, type RunningDaemon, type StartOptions, versionOf } from './daemon.ts';

const PROGRAM = '/usr/bin/gobgpd';
const START_TIMEOUT = 10_000;

/** GoBGP, on as many processors as there are. */
export const gobgp: Daemon = {
  name: 'gobgp',
  counting: 'walk',
  version: () => versionOf(PROGRAM, /version (\S+)/),
  async start(options: StartOptions): Promise<RunningDaemon> {
    const { folder } = options;
    const config = join(folder, 'gobgpd.toml');
    writeFileSync(config, configuration(options));
    const api = `127.0.0.1:${await freePort('127.0.0.1')}`;
    const args = ['-f', config, '-l', 'warn', '--pprof-disable', `--api-hosts=${api}`];
    const child = new Child(PROGRAM, args, { folder, channel: 'none' });
    const deadline = performance.now() + START_TIMEOUT;
    for (;;) {
      try {
        await countPaths(api);
        break;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await pause(50);
      }
    }
    return { child, paths: () => countPaths(api), stop: () => child.stop() };
  },
};

function configuration({ port, injectors }: StartOptions): string {
  const peers = peersOf(injectors).map(
    ({ address, asn }) => `
[[neighbors]]
  [neighbors.config]
    neighbor-address = "${address}"
    peer-as = ${asn}
  [neighbors.transport.config]
    passive-mode = true
    local-address = "${TARGET.address}"
  [neighbors.timers.config]
    hold-time = 240
    keepalive-interval = 80
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 255
`,
  );
  return `
[global.config]
  as = ${TARGET.asn}
  router-id = "${TARGET.routerId}"
  port = ${port}
  local-address-list = ["${TARGET.address}"]
${peers.join('')}`;
}

/** `GetTable` of the global table, IPv4 unicast, over gRPC: a process of `gobgp` for each question would take time from the target. */
function countPaths(api: string): Promise<number> {
  // Field 2, family: AFI 1, SAFI 1; before it the gRPC frame of an uncompressed message.
  const request = Buffer.from([0, 0, 0, 0, 6, 0x12, 4, 0x08, 1, 0x10, 1]);
  return new Promise((resolve, reject) => {
    const session = connect(`http://${api}`);
    session.once('error', reject);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/apipb.GobgpApi/GetTable',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const parts: Buffer[] = [];
    stream.once('error', reject);
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.once('end', () => {
      session.close();
      const answer = Buffer.concat(parts);
      if (answer.length < 5) reject(new Error('gobgpd has not answered'));
      else resolve(numPath(answer.subarray(5)));
    });
    stream.end(request);
  });
}

/** Field 2 of `GetTableResponse`; 0 if it is not there, as Protocol Buffers leave zeros out. */
function numPath(message: Uint8Array): number {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const field = varint() >> 3;
    const value = varint();
    if (field === 2) return value;
  }
  return 0;
}
