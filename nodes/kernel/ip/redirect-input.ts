import { u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp4, isMulticast, LIMITED_BROADCAST } from '../../../protocols/ip4.ts';
import { ipDst, ipSrc } from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { ANY_FLOW } from '../rules.ts';

/** `RT_GC_TIMEOUT`: how long a redirect is believed, ms. */
export const REDIRECT_LIFETIME = 300_000;
const INFO = 6;

/**
 * Heeds a redirect about a packet of this host's own, which is quoted at `inner` (`__ip_do_redirect`). `at` is where the ICMP
 * header is. It has to come from the gateway that the packet was sent to.
 */
export function receiveRedirect(
  ns: Netns,
  device: Device,
  frame: Uint8Array,
  at: number,
  inner: number,
): void {
  // For a network, a host, and both for a type of service.
  if ((frame[at + 1]! & 7) > 3) return;
  const router = ipSrc(frame, ETH_HLEN);
  const gateway = u32(frame, at + 4);
  const dst = ipDst(frame, inner);
  const path = ns.lookup(dst, 0, { ...ANY_FLOW, src: ipSrc(frame, inner) });
  if (path?.type !== 'unicast' || path.via6 !== undefined || path.nexthop === dst || path.nexthop !== router)
    return;
  if (!accepts(ns, device, router, gateway)) {
    ns.kernel.drop('icmp-redirect-ignored');
    if ((device.conf.log_martians | ns.sysctls.all.log_martians) !== 0 && ns.kernel.ratelimit())
      ns.log(
        INFO,
        `IPv4: Redirect from ${formatIp4(router)} on ${device.name} about ${formatIp4(gateway)} ignored\n` +
          `  Advised path = ${formatIp4(ipSrc(frame, inner))} -> ${formatIp4(dst)}`,
      );
    return;
  }
  // The first one about a gateway that is not known yet has it asked for, and no more.
  if (path.device.neighbors.ask(gateway)) ns.redirects.learn(dst, path, gateway);
}

function accepts(ns: Netns, device: Device, router: number, gateway: number): boolean {
  const { conf } = device;
  const { all } = ns.sysctls;
  // `IN_DEV_RX_REDIRECTS`: both have to allow it to a router, either to a host.
  const heeds =
    conf.forwarding === 0
      ? conf.accept_redirects | all.accept_redirects
      : conf.accept_redirects & all.accept_redirects;
  if (heeds === 0 || gateway === router) return false;
  if (isMulticast(gateway) || gateway === LIMITED_BROADCAST || gateway === 0) return false;
  if ((conf.shared_media | all.shared_media) !== 0) {
    const found = ns.lookup(gateway, 0);
    return found === null || found.type === 'unicast';
  }
  if (!ns.addresses.onLink(device, gateway, router)) return false;
  return (conf.secure_redirects | all.secure_redirects) === 0 || isDefaultGateway(ns, device, gateway);
}

/** `ip_fib_check_default` */
function isDefaultGateway(ns: Netns, device: Device, gateway: number): boolean {
  return ns.tables
    .list()
    .flatMap((table) => table.rowsOf('0.0.0.0/0'))
    .some(({ nexthops }) =>
      nexthops.some(({ via, dev }) => via === formatIp4(gateway) && dev === device.name),
    );
}
