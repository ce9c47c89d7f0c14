import test from 'ava';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import { ANY_IP6, parseIp6 } from '../../../protocols/ip6.ts';
import { EmulatedPorts } from '../../support/router.ts';
import { run } from '../tools/support/run.ts';

const ip6 = (text: string): string => parseIp6(text)!;

const VXLAN = { mac: 0x0200_0000_0050, mtu: 1430, vni: 42, dstPort: 4789, learning: 'on' } as const;

test('ends of two families and rows of the other one are refused', (t) => {
  const { root } = new EmulatedPorts([{ name: 'u0' }]);
  const refused = (message: string) => ({ instanceOf: NetlinkError, message });
  t.throws(
    () => root.addVxlan({ ...VXLAN, name: 'vx0', local: 0x0a00_0001, remote: ip6('2001:db8::2') }),
    refused('Error: Local and remote address must be from the same family.'),
  );
  root.addVxlan({ ...VXLAN, name: 'vx0', local: ip6('2001:db8::1'), remote: ANY_IP6 });
  t.throws(
    () => root.addVxlanFdb('vx0', 0, 0x0a00_0002, 'permanent'),
    refused('RTNETLINK answers: Address family not supported by protocol'),
  );
  t.deepEqual(root.fdb(), []);
});

const refusals: readonly (readonly [string, string])[] = [
  ['local 2001:db8::1 remote 10.0.0.2', 'Error: inet6 address is expected rather than "10.0.0.2".\n'],
  ['remote 10.0.0.2 local 2001:db8::1', 'Error: inet address is expected rather than "2001:db8::1".\n'],
  ['local 2001:db8::1 remote ff05::2', 'Error: argument "ff05::2" is wrong: invalid remote address\n'],
  ['local 2001:db8::1 group ff05::2', "vxlan: 'group' requires 'dev' to be specified\n"],
  ['local ff05::1', 'Error: argument "ff05::1" is wrong: invalid local address\n'],
  ['local any', 'Error: argument "any" is wrong: invalid local address\n'],
  ['group 2001:db8::2 dev u0', 'Error: argument "2001:db8::2" is wrong: invalid group address\n'],
  [
    'local fe80::1 remote fe80::2',
    'Error: Local interface required for link-local local/remote addresses.\n',
  ],
  [
    'local fe80::1 remote 2001:db8::2 dev u0',
    'Error: Invalid combination of local and remote address scopes.\n',
  ],
  ['local 10.0.0.1 flowlabel 1', 'Error: Label attribute only applies to IPv6 VXLAN devices.\n'],
  ['local 2001:db8::1 flowlabel 0x100000', 'Error: argument "0x100000" is wrong: invalid flowlabel\n'],
  ['local 2001:db8::1 dev u0', 'Error: IPv6 support disabled by administrator.\n'],
];

// Texts of iproute2 6.1 on Linux 6.18.
for (const [words, message] of refusals)
  test(`ip link add type vxlan ${words}: ${message.trim()}`, (t) => {
    const { root } = new EmulatedPorts([{ name: 'u0' }]);
    run(['sysctl', '-w', 'net.ipv6.conf.u0.disable_ipv6=1'], root);
    const { code, text } = run(`ip link add vx0 type vxlan id 42 dstport 4789 ${words}`.split(' '), root);
    t.not(code, 0);
    t.is(text, message);
  });
