import test from 'ava';
import { dockerHost } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';

test('the host has link-local addresses by EUI-64 and its containers none, as in the seed document', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker run -d --name tomcat01 tomcat');
  await lab.sleep(3_000);
  const shown = await host.out('ip addr');
  t.regex(shown, /inet6 ::1\/128 scope host \n {7}valid_lft forever preferred_lft forever\n/);
  const links = shown.split(/^(?=\d+: )/m).filter((link) => !link.startsWith('1: lo'));
  t.true(links.some((link) => link.includes('docker0')) && links.some((link) => /veth\w+@if/.test(link)));
  for (const link of links) {
    const mac =
      /link\/ether (\S+)/
        .exec(link)?.[1]
        ?.split(':')
        .map((pair) => Number.parseInt(pair, 16)) ?? [];
    const id = [mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!];
    const groups = [0, 2, 4, 6].map((i) => ((id[i]! << 8) | id[i + 1]!).toString(16)).join(':');
    t.regex(link, new RegExp(`inet6 fe80::${groups}/64 scope link \\n`));
  }
  t.notRegex(await host.out('docker exec tomcat01 ip addr'), /inet6/);
  t.is(
    await host.out('docker exec tomcat01 sysctl net.ipv6.conf.all.disable_ipv6'),
    'net.ipv6.conf.all.disable_ipv6 = 1\n',
  );
  await verifies(t, lab);
});
