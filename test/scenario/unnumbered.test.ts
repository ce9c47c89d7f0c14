import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { formatIp } from '../../protocols/ip.ts';
import { readMrt } from '../../protocols/mrt/reader.ts';
import { cli } from '../support/cli.ts';
import { temporaryFolder } from '../support/nats.ts';

test('a fabric of BGP unnumbered: sessions, routes, packets, traces and dumps without an address on a link', async (t) => {
  const home = temporaryFolder(t);
  const run = async (...argv: string[]) => {
    const { code, stdout, stderr } = await cli(t, home, ...argv);
    t.is(code, 0, `${argv.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  t.regex(await run('up', '-d', 'examples/unnumbered.yaml'), /sessions {3}6 BGP/);

  const sessions = await run('get', 'sessions');
  t.regex(sessions, /^leaf1 +spine2 +fe80::52:ff:fe02:0%eth2 +65000 +Established/m);
  t.is(sessions.match(/Established/g)?.length, 12);
  t.regex(
    await run('show', 'leaf1', 'bgp', 'route', '10.1.2.0/24'),
    /from spine1 \(AS 65000, external\) via fe80::52:ff:fe01:0/,
  );
  t.regex(
    await run('exec', 'leaf1', '--', 'ip', 'route'),
    /^10\.1\.2\.0\/24 proto bird \n\tnexthop via inet6 fe80::52:ff:fe01:0 dev eth1 weight 1/m,
  );
  t.regex(await run('exec', 'h1', '--', 'ping', '-c', '2', '-i', '0.2', '10.1.2.2'), / 0% packet loss/);
  t.regex(
    await run('exec', 'h1', '--', 'ping', '-6', '-c', '2', '-i', '0.2', '2001:db8:3::2'),
    / 0% packet loss/,
  );
  const trace = await run('trace', 'h1', '10.1.2.2');
  t.regex(trace, /10\.1\.2\.2 via inet6 fe80::52:ff:fe0[12]:0 dev eth[12] \(10\.1\.2\.0\/24 proto bird\)/);
  t.regex(trace, /answered/);

  const file = join(home, 'table.mrt');
  await run('dump', 'leaf1', '--mrt', file);
  const [table] = readMrt(readFileSync(file));
  t.deepEqual(
    table?.kind === 'peer-index-table' && table.peers.map(({ address }) => formatIp(address)).toSorted(),
    ['fe80::52:ff:fe01:0', 'fe80::52:ff:fe02:0'],
  );
  t.regex(await run('verify'), /every running node is the fold of its log/);

  await run('link', 'down', 'leaf1:eth1');
  await run('wait', '--converged', '--within', '60s');
  t.regex(
    await run('exec', 'leaf1', '--', 'ip', 'route'),
    /^10\.1\.2\.0\/24 via inet6 fe80::52:ff:fe02:0 dev eth2 proto bird $/m,
  );
  t.regex(await run('exec', 'h1', '--', 'ping', '-c', '2', '-i', '0.2', '10.1.2.2'), / 0% packet loss/);
  await run('down');
});
