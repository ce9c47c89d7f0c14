import { settleFragmentId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, send, show, wait } from './case.ts';
import { ip6, routerAdvert } from './frames6.ts';

/** Two devices and lo, each with the addresses that are given; all but a few go by v0. */
const host = (addresses: Readonly<Record<string, readonly string[]>>): string[] => [
  ...['v0', 'w0', 'lo'].flatMap((dev) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    ...(addresses[dev] ?? []).map((address) => `ip -6 addr add ${address} dev ${dev} noprefixroute nodad`),
  ]),
  'ip -6 route add default dev v0',
];

/** Which address packets to these destinations come from. */
const from = (...destinations: readonly string[]): CaseStep[] =>
  destinations.map((dst) => show(`ip -6 route get ${dst}`, (text) => / src (\S+)/.exec(text)?.[1] ?? 'none'));

const PREFIX = { len: 64, onLink: false, autonomous: true, validLifetime: 90_050 };

/** What once differed from Linux in `test/interop/linux/source-address.test.ts`: the rules of RFC 6724 §5. */
export const sourceAddressCases: CaseGroup = {
  name: 'source-address',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleFragmentId,
  cases: [
    {
      name: 'the host speaks from the address that it speaks to',
      setUp: host({ v0: ['2001:db8:1::1/64', '2001:db8:2::1/64'] }),
      steps: from('2001:db8:1::1', '2001:db8:2::1'),
    },
    {
      name: 'a scope that is enough comes before one that is not, and the way out does not change that',
      setUp: host({ v0: ['fe80::1/64'], w0: ['2001:db8:1::1/64'] }),
      steps: from('2001:db8:9::9', 'fe80::9', 'ff02::9', 'ff0e::9'),
    },
    {
      name: 'to far away an address of a link is better than none, be it of another device',
      setUp: host({ v0: [], w0: ['fe80::7/64'] }),
      steps: from('2001:db8:9::9', 'fe80::9'),
    },
    {
      name: 'the way out comes before the label and the prefix',
      setUp: host({ v0: ['fd00:1::1/64'], w0: ['2001:db8:1::1/64'] }),
      steps: from('2001:db8:1::9', 'fd00:1::9'),
    },
    {
      name: 'the label comes before the prefix: unique local ones to those, 6to4 and Teredo to their like',
      setUp: host({
        v0: ['2001:db8:1::1/64', 'fd00:1::1/64', '2002:a00:1::1/64', '2001:0:1::1/64', '3ffe::1/64'],
      }),
      steps: from(
        '2400::1',
        'fd77::1',
        '2002:b00::1',
        '2001:0:9::1',
        '2001:1::1',
        '3ffe:9::1',
        '::ffff:10.0.0.9',
      ),
    },
    {
      name: 'names of keys (2001:10::/28) speak to each other alone',
      setUp: host({ v0: ['2001:10::1/64', '2001:db8:1::1/64'] }),
      steps: from('2001:10:9::9', '2001:db8:1::9', '2001:11::9', '2001:20::9'),
    },
    {
      name: 'the longest common prefix counts as far as the address’s own goes',
      setUp: host({ v0: ['2001:db8:1:8000::1/64', '2001:db8:1::1/64', '2001:db8:1::8/127'] }),
      steps: from(
        '2001:db8:1:8000::9',
        '2001:db8:1:c000::9',
        '2001:db8:1::9',
        '2001:db8:1::a',
        '2001:db8:1::3',
      ),
    },
    {
      name: 'among equals the newest is taken, of the first device',
      setUp: host({ lo: ['2001:db8:7::1/128'], w0: ['2001:db8:5::1/64', '2001:db8:5::2/64'] }),
      steps: from('3fff::1'),
    },
    {
      name: 'a deprecated address is taken where there is no other of its scope',
      setUp: [
        ...host({ v0: ['fe80::1/64'] }),
        'sysctl -w net.ipv6.conf.v0.accept_dad=0',
        'sysctl -w net.ipv6.conf.v0.dad_transmits=0',
        'sysctl -w net.ipv6.conf.v0.router_solicitations=0',
      ],
      steps: [
        send(
          0,
          routerAdvert({
            lifetime: 0,
            options: { prefixes: [{ ...PREFIX, prefix: ip6('2001:db8:5::'), preferredLifetime: 0 }] },
          }),
        ),
        wait(50),
        ...from('2001:db8:5::9'),
        send(
          0,
          routerAdvert({
            lifetime: 0,
            options: { prefixes: [{ ...PREFIX, prefix: ip6('3fff:5::'), preferredLifetime: 50 }] },
          }),
        ),
        wait(50),
        ...from('2001:db8:5::9'),
      ],
    },
    {
      name: 'addresses that end in one of IPv4 are written so, mapped or not',
      setUp: host({ v0: ['::10.0.0.1/128', '::ffff:10.0.0.1/128', '::1:2/128', '::2/128'] }),
      steps: [
        show('ip -6 addr show dev v0', (text) =>
          [...text.matchAll(/inet6 (\S+)/g)].map(([, address]) => address).join('\n'),
        ),
      ],
    },
  ],
};
