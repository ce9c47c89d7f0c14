import test from 'ava';
import { ALL_NODES, formatIp6 } from '../../../../protocols/ip6.ts';
import type { NdpMessage } from '../../../../protocols/ndp.ts';
import { Network } from '../../../support/network.ts';
import { CLAIMED, foldOf, ip6, pinger, shown } from './lab.ts';

function advert(change: Partial<Extract<NdpMessage, { type: 'router-advert' }>> = {}): NdpMessage {
  return {
    type: 'router-advert',
    hopLimit: 0,
    managed: false,
    otherConfig: false,
    preference: 'medium',
    routerLifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    options: {
      sourceMac: 0x525400000000,
      mtu: 1400,
      prefixes: [
        {
          prefix: ip6('2001:db8:5::'),
          len: 64,
          onLink: true,
          autonomous: true,
          validLifetime: 86_400,
          preferredLifetime: 14_400,
        },
      ],
    },
    ...change,
  };
}

/** A router r whose advertisements the test sends, and a host h. */
function link() {
  const net = new Network();
  const [r, h] = [net.host('r', 'on'), net.host('h', 'on')];
  net.attach(r, 'lan', 'eth0', '10.0.0.1/24');
  r.kernel.root.addAddress('eth0', '2001:db8:5::1/64');
  r.kernel.root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
  const device = r.kernel.root.device('eth0')!;
  const advertise = (message: NdpMessage) =>
    r.kernel.root.ipv6.ndp.send(device, message, {
      src: device.inet6.linkLocal()!,
      dst: ALL_NODES,
      mac: null,
    });
  const solicits: string[] = [];
  r.kernel.root.ipv6.ndp.advertise(device, (src) => solicits.push(`${net.world.now} ${formatIp6(src)}`));
  net.advance(CLAIMED);
  net.attach(h, 'lan', 'eth0', '10.0.0.2/24');
  net.advance(CLAIMED);
  return { net, r, h, root: h.kernel.root, advertise, solicits };
}

test('a host asks for routers, ever more slowly', (t) => {
  const { net, solicits, h } = link();
  t.is(solicits.length, 1);
  net.advance(70_000);
  // 4 s, then about doubled each time (RFC 7559).
  t.is(solicits.length, 5);
  h.kernel.root.sysctls.set('ipv6.conf.*.accept_ra', 0, 'eth0');
  net.advance(600_000);
  t.is(solicits.length, 5);
});

test('an advertisement gives a default route, a prefix, an address of it and an MTU', (t) => {
  const { net, h, root, advertise, solicits } = link();
  advertise(advert({ hopLimit: 33 }));
  net.advance(1);
  t.deepEqual(shown(root, 'eth0')[0], '2001:db8:5:0:5054:ff:fe00:100/64 global tentative');
  t.like(root.ipv6.routes.get('::/0'), {
    protocol: 'ra',
    metric: 1024,
    nexthops: [{ via: 'fe80::5054:ff:fe00:0', dev: 'eth0' }],
  });
  t.like(root.ipv6.routes.get('2001:db8:5::/64', 256), { protocol: 'kernel' });
  t.is(root.device('eth0')!.inet6.mtu, 1400);
  net.advance(CLAIMED);
  const ping = pinger(root);
  t.is(ping.send('2001:db8:5::1'), null);
  net.advance(10);
  t.is(ping.replies.length, 1);
  const asked = solicits.length;
  net.advance(60_000);
  t.is(solicits.length, asked, 'a host that has heard a router asks no more');
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
});

test('lifetimes: the router of none goes at once, the others with their time', (t) => {
  const { net, h, root, advertise } = link();
  advertise(advert());
  net.advance(CLAIMED);
  advertise(advert({ routerLifetime: 0 }));
  net.advance(1);
  t.is(root.ipv6.routes.get('::/0'), undefined);
  advertise(advert({ routerLifetime: 30 }));
  net.advance(29_000);
  t.not(root.ipv6.routes.get('::/0'), undefined);
  net.advance(2_000);
  t.is(root.ipv6.routes.get('::/0'), undefined);
  net.advance(86_400_000);
  t.deepEqual(shown(root, 'eth0'), ['fe80::5054:ff:fe00:100/64 link']);
  t.is(root.ipv6.routes.get('2001:db8:5::/64', 256), undefined);
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
});

test('a router takes nothing from an advertisement, unless accept_ra is 2', (t) => {
  const { net, root, advertise } = link();
  root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
  advertise(advert());
  net.advance(1);
  t.is(root.ipv6.routes.get('::/0'), undefined);
  root.sysctls.set('ipv6.conf.*.accept_ra', 2, 'eth0');
  advertise(advert());
  net.advance(1);
  t.not(root.ipv6.routes.get('::/0'), undefined);
});

test('an advertisement that is not of the link is none', (t) => {
  const { net, r, root } = link();
  const device = r.kernel.root.device('eth0')!;
  r.kernel.root.ipv6.ndp.send(device, advert(), { src: ip6('2001:db8:5::1'), dst: ALL_NODES, mac: null });
  net.advance(1);
  t.is(root.ipv6.routes.get('::/0'), undefined);
  t.is(root.kernel.drops.get('ndp-malformed'), 1);
});
