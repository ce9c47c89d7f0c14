import type { PrefixInformation } from '../../../../protocols/ndp.ts';
import { settleFragmentId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseGroup, command, send, show, trimmed, wait } from './case.ts';
import { echo6, ip6, packet6, routerAdvert } from './frames6.ts';

/** A host on which nothing is claimed, and nobody asks for routers. */
const HOST = [
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  'sysctl -w net.ipv6.conf.v0.addr_gen_mode=1',
  'sysctl -w net.ipv6.conf.v0.accept_dad=0',
  'sysctl -w net.ipv6.conf.v0.dad_transmits=0',
  'sysctl -w net.ipv6.conf.v0.router_solicitations=0',
  'sysctl -w net.ipv6.conf.v0.disable_ipv6=0',
  'ip -6 addr add fe80::1/64 dev v0 nodad',
  'ip -6 addr add 2001:db8:1::1/64 dev v0 nodad',
  'ip -6 neigh add 2001:db8:1::2 lladdr 02:00:00:00:00:02 dev v0 nud permanent',
];

const PREFIX: PrefixInformation = {
  prefix: ip6('2001:db8:5::'),
  len: 64,
  onLink: true,
  autonomous: true,
  validLifetime: 90_050,
  preferredLifetime: 7_250,
};

/** Without the seconds that recording takes. */
const settled = (text: string) =>
  text.replaceAll(/(\d+)sec/g, (_, seconds) => `${Math.ceil(Number(seconds) / 50) * 50}sec`);

const ROUTES = show('ip -6 route show', settled);
const ADDRESSES = show('ip -6 addr show dev v0', (text) =>
  settled(text)
    .split('\n')
    .filter((line) => /^ +(inet6|valid)/.test(line))
    .map((line) => line.trimEnd())
    .join('\n'),
);
const NEIGHBORS = show('ip -6 neigh', (text) => trimmed(text.replaceAll(' router ', ' ')));
const DEFAULT = show('ip -6 route get 3fff::1', settled);
const echo = (size: number) =>
  send(0, packet6({ src: '2001:db8:1::2', dst: '2001:db8:1::1', upper: echo6('request', 7, size) }));

/** What once differed from Linux in `test/interop/linux/router-advert.test.ts`. */
export const routerAdvertCases: CaseGroup = {
  name: 'router-advert',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  first: ['sysctl -qw net.ipv6.auto_flowlabels=0'],
  settle: settleFragmentId,
  cases: [
    {
      name: 'each default router has a route of its own, with its lifetime, preference and hop limit',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ src: 'fe80::8', preference: 'low', hopLimit: 33 })),
        send(0, routerAdvert({ preference: 'high', lifetime: 9_050 })),
        send(0, routerAdvert({ src: 'fe80::7' })),
        ROUTES,
        DEFAULT,
        send(0, routerAdvert({ lifetime: 0 })),
        ROUTES,
        DEFAULT,
        send(0, routerAdvert({ src: 'fe80::7', lifetime: 0 })),
        DEFAULT,
      ],
    },
    {
      name: 'without accept_ra_rtr_pref all routers are of medium preference',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.accept_ra_rtr_pref=0'],
      steps: [send(0, routerAdvert({ preference: 'high' })), ROUTES],
    },
    {
      name: 'the hop limit is one of default routers, and not below accept_ra_min_hop_limit',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.accept_ra_min_hop_limit=40'],
      steps: [
        send(0, routerAdvert({ hopLimit: 33 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        ROUTES,
        send(0, routerAdvert({ hopLimit: 40, lifetime: 0 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        command('sysctl -w net.ipv6.conf.v0.accept_ra_defrtr=0'),
        send(0, routerAdvert({ hopLimit: 50 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        ROUTES,
      ],
    },
    {
      name: 'packets by a router have the hop limit that it told, others that of the device',
      setUp: [...HOST, 'ip -6 neigh add fe80::9 lladdr 02:00:00:00:00:02 dev v0 nud permanent'],
      steps: [
        send(0, routerAdvert({ hopLimit: 33 })),
        send(0, routerAdvert({ src: 'fe80::8', hopLimit: 50, preference: 'low' })),
        send(0, packet6({ src: '3fff::1', dst: '2001:db8:1::1', upper: echo6('request') })),
        echo(0),
      ],
    },
    {
      name: 'an MTU goes for the link and for the route of its router, and for routes that had a larger one',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ src: 'fe80::8', options: { mtu: 1_400 } })),
        send(0, routerAdvert({ options: { mtu: 1_400 } })),
        ROUTES,
        send(0, routerAdvert({ options: { mtu: 1_300 } })),
        ROUTES,
        echo(1_300),
        send(0, routerAdvert({ options: { mtu: 1_450 } })),
        ROUTES,
      ],
    },
    {
      name: 'an MTU below 1280 or above the device’s is none',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ options: { mtu: 1_279 } })),
        send(0, routerAdvert({ options: { mtu: 1_501 } })),
        ROUTES,
        echo(1_400),
      ],
    },
    {
      name: 'the route of an advertised prefix ceases with it, and the address has none of its own',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ options: { prefixes: [PREFIX] } })),
        wait(20),
        ROUTES,
        ADDRESSES,
        command('ip -6 addr del 2001:db8:5::ff:fe00:1/64 dev v0'),
        ROUTES,
        send(
          0,
          routerAdvert({ options: { prefixes: [{ ...PREFIX, validLifetime: 0, preferredLifetime: 0 }] } }),
        ),
        ROUTES,
      ],
    },
    {
      name: 'an address of a prefix that is not on the link has no route',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ options: { prefixes: [{ ...PREFIX, onLink: false }] } })),
        wait(20),
        ROUTES,
        ADDRESSES,
      ],
    },
    {
      name: 'a prefix for ever gives a dynamic address for ever, and can be shortened to two hours',
      setUp: HOST,
      steps: [
        send(
          0,
          routerAdvert({
            options: {
              prefixes: [{ ...PREFIX, validLifetime: 0xffff_ffff, preferredLifetime: 0xffff_ffff }],
            },
          }),
        ),
        wait(20),
        ROUTES,
        ADDRESSES,
        send(
          0,
          routerAdvert({ options: { prefixes: [{ ...PREFIX, validLifetime: 50, preferredLifetime: 0 }] } }),
        ),
        wait(50),
        ROUTES,
        ADDRESSES,
      ],
    },
    {
      name: 'a prefix of a group, of the link, or preferred for longer than it is valid, is none',
      setUp: HOST,
      steps: [
        send(
          0,
          routerAdvert({
            options: {
              prefixes: [
                { ...PREFIX, prefix: ip6('ff02::') },
                { ...PREFIX, prefix: ip6('fe80::') },
                { ...PREFIX, preferredLifetime: 100_000 },
                { ...PREFIX, prefix: ip6('2001:db8:6::'), len: 80 },
              ],
            },
          }),
        ),
        wait(20),
        ROUTES,
        ADDRESSES,
      ],
    },
    {
      name: 'a route that is there by an address stays as it is',
      setUp: [...HOST, 'ip -6 addr add 2001:db8:5::7/64 dev v0 nodad'],
      steps: [
        send(0, routerAdvert({ options: { prefixes: [PREFIX] } })),
        wait(20),
        ROUTES,
        send(
          0,
          routerAdvert({ options: { prefixes: [{ ...PREFIX, validLifetime: 0, preferredLifetime: 0 }] } }),
        ),
        ROUTES,
      ],
    },
    {
      name: 'who begins to forward has no default routers any more, but prefixes',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ options: { prefixes: [PREFIX] } })),
        wait(20),
        command('sysctl -w net.ipv6.conf.w0.forwarding=1'),
        ROUTES,
        send(0, routerAdvert()),
        command('sysctl -w net.ipv6.conf.v0.accept_ra=2'),
        command('sysctl -w net.ipv6.conf.all.forwarding=1'),
        ROUTES,
      ],
    },
    {
      name: 'whose advertisements do not count is a neighbour all the same, but not where his route cannot be',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.accept_ra=0'],
      steps: [
        send(0, routerAdvert({ src: 'fe80::8', options: { sourceMac: NEIGHBOR_MAC } })),
        ROUTES,
        NEIGHBORS,
        command('sysctl -w net.ipv6.conf.v0.accept_ra=1'),
        command('ip -6 route add default via fe80::9 dev v0'),
        send(0, routerAdvert({ options: { sourceMac: NEIGHBOR_MAC, prefixes: [PREFIX] } })),
        ROUTES,
        NEIGHBORS,
      ],
    },
    {
      name: 'of itself a host takes no default route, unless told to',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ src: 'fe80::1' })),
        ROUTES,
        command('sysctl -w net.ipv6.conf.v0.accept_ra_from_local=1'),
        send(0, routerAdvert({ src: 'fe80::1' })),
        ROUTES,
      ],
    },
    {
      name: 'whose route cannot be there says nothing of the hop limit either',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.accept_ra_from_local=1'],
      steps: [
        send(0, routerAdvert({ src: 'fe80::1', hopLimit: 50 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        command('ip -6 route add default via fe80::9 dev v0'),
        send(0, routerAdvert({ hopLimit: 51 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        send(0, routerAdvert({ hopLimit: 52, lifetime: 0 })),
        show('sysctl net.ipv6.conf.v0.hop_limit'),
        ROUTES,
      ],
    },
    {
      name: 'an advertisement from afar is none',
      setUp: HOST,
      steps: [
        send(0, routerAdvert({ hops: 254 })),
        send(0, routerAdvert({ src: '2001:db8:1::2' })),
        send(0, routerAdvert({ src: '::' })),
        ROUTES,
      ],
    },
    {
      name: 'a host that does not forward says so of what has a route with silence, of what has none with an error',
      setUp: [...HOST, 'ip -6 route add unreachable 2001:db8:97::/48'],
      steps: ['2001:db8:1::9', '3fff::1', '2001:db8:97::1'].map((dst) =>
        send(0, packet6({ src: '2001:db8:1::2', dst, upper: echo6('request') })),
      ),
    },
  ],
};
