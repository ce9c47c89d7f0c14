import test from 'ava';
import { LabHome } from '../../../orchestrator/home.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { cli } from '../../support/cli.ts';
import { temporaryFolder } from '../../support/nats.ts';

test.serial('ls tells what has gone wrong in a lab that nobody watched', async (t) => {
  const folder = temporaryFolder(t);
  process.env.REROUTE_HOME = folder;
  t.teardown(() => {
    delete process.env.REROUTE_HOME;
  });
  const home = new LabHome('warned');
  home.reset(compileLab('name: warned\ntopology: { nodes: { n1: { kind: host } } }\n', 'warned.yaml'));
  const status = {
    name: 'warned',
    status: 'down',
    error: '',
    pid: 1,
    startedAt: 0,
    file: 'warned.yaml',
  } as const;
  const shell = { bus: { url: '', token: '' }, busOwner: 'lab', shell: 'processes' } as const;
  home.writeStatus({ ...status, ...shell });
  t.is((await cli(t, folder, 'ls')).stderr, '');
  home.writeStatus({ ...status, ...shell, warnings: ['frames are recorded no more: ENOSPC'] });
  const { code, stderr } = await cli(t, folder, 'ls');
  t.is(code, 0);
  t.is(stderr, 'warning: warned: frames are recorded no more: ENOSPC\n');
});
