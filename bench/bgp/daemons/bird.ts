import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../process.ts';
import { NEXT_HOPS, RECEIVER, TARGET } from '../workload.ts';
import { ControlSocket } from './control-socket.ts';
import { type Daemon, peersOf, type RunningDaemon, type StartOptions, versionOf } from './daemon.ts';

const PROGRAM = '/usr/sbin/bird';

/** BIRD 2. Without a kernel protocol; next hops are resolved by a static route. */
export const bird: Daemon = {
  name: 'bird',
  counting: 'counters',
  version: () => versionOf(PROGRAM, /version (\S+)/),
  async start(options: StartOptions): Promise<RunningDaemon> {
    const { folder } = options;
    const config = join(folder, 'bird.conf');
    const control = join(folder, 'bird.ctl');
    writeFileSync(config, configuration(options));
    const child = new Child(PROGRAM, ['-f', '-c', config, '-s', control, '-P', join(folder, 'pid')], {
      folder,
      channel: 'none',
    });
    // The last line of an answer has a blank after its code, the others a hyphen.
    const socket = await ControlSocket.open(control, (answer) => /^\d{4} .*\n$/m.test(answer));
    await socket.next();
    return {
      child,
      async paths() {
        const text = await socket.ask('show protocols all "injector*"\n');
        return [...text.matchAll(/(\d+) imported/g)].reduce((sum, match) => sum + Number(match[1]), 0);
      },
      async stop() {
        socket.close();
        await child.stop();
      },
    };
  },
};

function configuration({ folder, port, injectors }: StartOptions): string {
  const peers = peersOf(injectors).map(({ address, asn }, i) => {
    const name = asn === RECEIVER.asn ? 'receiver' : `injector${i}`;
    return `protocol bgp ${name} from peer { neighbor ${address} as ${asn}; }`;
  });
  return `
log "${folder}/bird.log" all;
router id ${TARGET.routerId};
protocol device {}
protocol static { ipv4; route ${NEXT_HOPS} via "lo"; }
template bgp peer {
  local ${TARGET.address} port ${port} as ${TARGET.asn};
  multihop;
  passive;
  strict bind;
  hold time 240;
  ipv4 { import all; export where source = RTS_BGP; };
}
${peers.join('\n')}
`;
}
