import { settleFragmentId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseGroup, command, send, show, wait } from './case.ts';
import { advert, echo6, packet6, solicit } from './frames6.ts';

/** A host that asks for no routers and begins to claim at once; it has an address of the link. */
const HOST = [
  'sysctl -w net.ipv6.conf.v0.addr_gen_mode=1',
  'sysctl -w net.ipv6.conf.v0.router_solicitations=0',
  'sysctl -w net.ipv6.conf.v0.router_solicitation_delay=0',
  'sysctl -w net.ipv6.conf.v0.disable_ipv6=0',
  'ip -6 addr add fe80::1/64 dev v0 nodad',
  'ip -6 neigh add 2001:db8:1::2 lladdr 02:00:00:00:00:02 dev v0 nud permanent',
];
const ADDRESS = '2001:db8:1::1';
const GROUP = 'ff02::1:ff00:1';
const CLAIM = command(`ip -6 addr add ${ADDRESS}/64 dev v0`);
/** More than RetransTimer, after which a claim has succeeded. */
const CLAIMED = wait(1_300);

const ADDRESSES = show('ip -6 addr show dev v0', (text) =>
  text
    .split('\n')
    .filter((line) => /^ +inet6 2001/.test(line))
    .map((line) => line.trimEnd())
    .join('\n'),
);
const ROUTES = show('ip -6 route show');
const ECHO = send(0, packet6({ src: '2001:db8:1::2', dst: ADDRESS, upper: echo6('request') }));
/** Somebody else who claims it too. */
const OTHER_CLAIM = send(0, solicit(ADDRESS, { src: '::', dst: GROUP }));

/** Duplicate address detection (RFC 4862 §5.4) as Linux does it, but for the nonce that it sends along (RFC 7527). */
export const dadCases: CaseGroup = {
  name: 'dad',
  ports: [{ name: 'v0' }],
  first: [
    'sysctl -qw net.ipv6.auto_flowlabels=0',
    'sysctl -qw net.ipv6.conf.all.enhanced_dad=0',
    'sysctl -qw net.ipv6.conf.v0.enhanced_dad=0',
  ],
  settle: settleFragmentId,
  cases: [
    {
      name: 'an address is claimed by a solicitation from nobody to its group, and is good where nobody objects',
      setUp: HOST,
      steps: [CLAIM, ADDRESSES, ROUTES, ECHO, CLAIMED, ADDRESSES, ECHO],
    },
    {
      name: 'a tentative address answers nobody who asks for it',
      setUp: HOST,
      steps: [
        CLAIM,
        send(0, solicit(ADDRESS, { src: '2001:db8:1::2', dst: GROUP }, NEIGHBOR_MAC)),
        send(0, solicit(ADDRESS, { src: '2001:db8:1::2', dst: ADDRESS }, NEIGHBOR_MAC)),
        ADDRESSES,
      ],
    },
    {
      name: 'who else claims a tentative address makes it fail, for good',
      setUp: HOST,
      steps: [CLAIM, OTHER_CLAIM, ADDRESSES, ECHO, CLAIMED, ADDRESSES, ECHO],
    },
    {
      name: 'whoever says that a tentative address is his makes it fail',
      setUp: HOST,
      steps: [
        CLAIM,
        send(
          0,
          advert(
            { target: ADDRESS, flags: ['override'], targetMac: NEIGHBOR_MAC },
            { src: '2001:db8:1::1', dst: 'ff02::1' },
          ),
        ),
        ADDRESSES,
      ],
    },
    {
      name: 'a claim with a MAC address, or to all, is none',
      setUp: HOST,
      steps: [
        CLAIM,
        send(0, solicit(ADDRESS, { src: '::', dst: GROUP }, NEIGHBOR_MAC)),
        send(0, solicit(ADDRESS, { src: '::', dst: 'ff02::1' })),
        send(0, solicit(ADDRESS, { src: '::', dst: GROUP, hopLimit: 64 })),
        send(0, solicit('2001:db8:1:0:9::1', { src: '::', dst: GROUP })),
        ADDRESSES,
      ],
    },
    {
      name: 'an address that is good is defended before all, and not given up',
      setUp: [...HOST, `ip -6 addr add ${ADDRESS}/64 dev v0 nodad`],
      steps: [
        OTHER_CLAIM,
        send(
          0,
          advert(
            { target: ADDRESS, flags: ['override'], targetMac: NEIGHBOR_MAC },
            { src: '2001:db8:1::1', dst: 'ff02::1' },
          ),
        ),
        ADDRESSES,
        ECHO,
      ],
    },
    {
      name: 'where nothing is transmitted to claim an address it is good at once',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.dad_transmits=0'],
      steps: [CLAIM, wait(50), ADDRESSES, ECHO],
    },
    {
      name: 'an address is claimed in spite of accept_dad where all say so',
      setUp: [...HOST, 'sysctl -w net.ipv6.conf.v0.accept_dad=0'],
      steps: [
        CLAIM,
        wait(50),
        ADDRESSES,
        command('sysctl -w net.ipv6.conf.all.accept_dad=1'),
        command('ip -6 addr add 2001:db8:1::7/64 dev v0'),
        ADDRESSES,
      ],
    },
    {
      name: 'a failed address that is deleted and added is claimed anew',
      setUp: HOST,
      steps: [CLAIM, OTHER_CLAIM, command(`ip -6 addr del ${ADDRESS}/64 dev v0`), CLAIM, ADDRESSES],
    },
  ],
};
