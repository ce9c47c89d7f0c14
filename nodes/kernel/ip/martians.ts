import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { InputRefusal } from './route-input.ts';

const WARNING = 4;

/**
 * Writes what came from or for an address that cannot be to the kernel's log, where `log_martians` asks for it
 * (`ip_handle_martian_source`). `dst` and `src` are what was routed: a packet's addresses, or those in a request of ARP.
 */
export function logMartian(
  ns: Netns,
  device: Device,
  frame: Uint8Array,
  why: InputRefusal,
  dst: number,
  src: number,
): void {
  const source = why === 'martian' || why === 'rp-filter';
  if (!source && why !== 'martian-destination') return;
  if ((device.conf.log_martians | ns.sysctls.all.log_martians) === 0 || !ns.kernel.ratelimit()) return;
  const [to, from] = [formatIp4(dst), formatIp4(src)];
  if (!source) {
    ns.log(WARNING, `IPv4: martian destination ${to} from ${from}, dev ${device.name}`);
    return;
  }
  ns.log(WARNING, `IPv4: martian source ${to} from ${from}, on dev ${device.name}`);
  if (!device.hasLinkLayer) return;
  const header = Array.from(frame.subarray(0, ETH_HLEN), (byte) => byte.toString(16).padStart(2, '0'));
  ns.log(WARNING, `ll header: 00000000: ${header.join(' ')}`);
}
