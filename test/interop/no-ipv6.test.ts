import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { linuxTest } from './linux/suite.ts';

const LAB = `
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, transport: ipv6 } }
    d: { kind: bird, bgp: { as: 65100 } }
  links:
    - { endpoints: ["r1:eth1", "d:eth1"], subnet: 10.0.0.0/31, subnet6: "2001:db8:a::/127" }
`;

const PROGRAM = `
import { placeLab } from './orchestrator/external/loopback.ts';
import { compileLab } from './orchestrator/lab/compile.ts';
await placeLab(compileLab(${JSON.stringify(LAB)}, 'lab.yaml')).catch((error) => process.stdout.write(error.message));
`;

linuxTest('a host without ::1 is said to have none, where a session needs it', async (t) => {
  const script = `ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && exec "$0" --import=tsx --input-type=module -e "$1"`;
  const { stdout } = await promisify(execFile)('unshare', [
    '-n',
    'sh',
    '-c',
    script,
    process.execPath,
    PROGRAM,
  ]);
  t.regex(
    stdout,
    /^the sessions with real daemons over IPv6 need ::1, which this host does not have \(listen EADDRNOTAVAIL.*; give lo its address, or/,
  );
});
