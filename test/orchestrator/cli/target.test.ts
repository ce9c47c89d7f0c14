import test from 'ava';
import { putAddresses, TargetError, wantsIpv6 } from '../../../orchestrator/cli/target.ts';

const ADDRESSES: Readonly<Record<string, string>> = {
  'web-1': '10.0.0.1',
  'prod/db': '10.0.0.2',
  six: 'fd00::1',
};

function put(...argv: string[]): Promise<string[]> {
  return putAddresses(argv, async (name) => ADDRESSES[name] ?? '');
}

test('a pod by its name, wherever a command line may have it', async (t) => {
  t.deepEqual(await put('ping', '@web-1'), ['ping', '10.0.0.1']);
  t.deepEqual(await put('curl', 'http://@web-1:8080/x', 'http://@prod/db/y', 'http://@web-1/healthz'), [
    'curl',
    'http://10.0.0.1:8080/x',
    'http://10.0.0.2/y',
    'http://10.0.0.1/healthz',
  ]);
  t.deepEqual(await put('sh', '-c', "ping @web-1; nc -z '@prod/db' 80"), [
    'sh',
    '-c',
    "ping 10.0.0.1; nc -z '10.0.0.2' 80",
  ]);
});

test('what is no pod', async (t) => {
  await t.throwsAsync(put('ping', '@web-9'), {
    instanceOf: TargetError,
    message: /^there is no running pod, container or node web-9;/,
  });
  t.deepEqual(await put('curl', 'http://me@web-1/', 'http://@web-9/'), [
    'curl',
    'http://me@web-1/',
    'http://@web-9/',
  ]);
});

test("dig's servers are its own", async (t) => {
  t.deepEqual(await put('dig', '@10.96.0.10', 'x'), ['dig', '@10.96.0.10', 'x']);
  t.deepEqual(await put('dig', '@web-1', 'x'), ['dig', '@10.0.0.1', 'x']);
});

test('an IPv6 address is in brackets within a URL alone', async (t) => {
  t.deepEqual(await put('curl', '-6', 'http://@six:80/x'), ['curl', '-6', 'http://[fd00::1]:80/x']);
  t.deepEqual(await put('sh', '-c', 'nc -6 -z @six 80; curl http://@six/'), [
    'sh',
    '-c',
    'nc -6 -z fd00::1 80; curl http://[fd00::1]/',
  ]);
});

test('which words ask for IPv6', (t) => {
  for (const line of ['ping -6 x', 'nc -6zv x 80', 'curl -sv6 x', 'iperf -V -c x'])
    t.true(wantsIpv6(line.split(' ')), line);
  t.true(wantsIpv6(['sh', '-c', 'nc -6 -z @x 80']));
  for (const line of ['curl -v x', 'nc -w6 x 80', 'ss -V', 'curl http://x-6/', 'ping -c 6 x'])
    t.false(wantsIpv6(line.split(' ')), line);
});
