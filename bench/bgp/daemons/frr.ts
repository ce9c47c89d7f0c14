import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Child } from '../process.ts';
import { RECEIVER, TARGET } from '../workload.ts';
import { ControlSocket } from './control-socket.ts';
import { type Daemon, peersOf, type RunningDaemon, type StartOptions, versionOf } from './daemon.ts';

const PROGRAM = '/usr/lib/frr/bgpd';

const Summary = z.object({
  ipv4Unicast: z.object({ peers: z.record(z.string(), z.object({ pfxRcd: z.number().default(0) })) }),
});

/** FRR's bgpd by itself, without zebra: every next hop counts as reachable, nothing is installed. */
export const frr: Daemon = {
  name: 'frr',
  counting: 'counters',
  version: () => versionOf(PROGRAM, /version (\S+)/),
  async start(options: StartOptions): Promise<RunningDaemon> {
    const { folder, port } = options;
    const config = join(folder, 'bgpd.conf');
    writeFileSync(config, configuration(options));
    const paths = [
      '-f',
      config,
      '-i',
      join(folder, 'pid'),
      '-z',
      join(folder, 'zserv'),
      '--vty_socket',
      folder,
    ];
    const listen = ['-p', String(port), '-l', TARGET.address, '-P', '0'];
    // No zebra, no routes for the kernel, no change of user.
    const child = new Child(PROGRAM, [...paths, ...listen, '-Z', '-n', '-S'], { folder, channel: 'none' });
    // An answer ends with three zero bytes and the command's result.
    const socket = await ControlSocket.open(
      join(folder, 'bgpd.vty'),
      (answer) => answer.slice(-4, -1) === '\0\0\0',
    );
    await socket.ask('enable\0');
    return {
      child,
      async paths() {
        const text = await socket.ask('show bgp summary json\0');
        const { peers } = Summary.parse(JSON.parse(text.slice(0, text.indexOf('\0')))).ipv4Unicast;
        return Object.entries(peers)
          .filter(([address]) => address !== RECEIVER.address)
          .reduce((sum, [, { pfxRcd }]) => sum + pfxRcd, 0);
      },
      async stop() {
        socket.close();
        await child.stop();
      },
    };
  },
};

function configuration({ folder, injectors }: StartOptions): string {
  const peers = peersOf(injectors).flatMap(({ address, asn }) => [
    ` neighbor ${address} remote-as ${asn}`,
    ` neighbor ${address} ebgp-multihop 255`,
    ` neighbor ${address} passive`,
  ]);
  return `
log file ${folder}/bgpd.log warnings
router bgp ${TARGET.asn}
 bgp router-id ${TARGET.routerId}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 80 240
${peers.join('\n')}
 address-family ipv4 unicast
  maximum-paths 1
 exit-address-family
`;
}
