import { isLoopback, isMulticast, LIMITED_BROADCAST } from '../../../protocols/ip4.ts';
import type { Device } from '../device.ts';
import { fibLookup } from '../fib-lookup.ts';
import type { Netns } from '../netns.ts';
import { isAttached } from '../route-table.ts';
import type { FlowKey } from '../rules.ts';
import type { Path } from './path.ts';

/**
 * Why a packet that came in goes nowhere: its source cannot be (`martian`), or not by this device (`rp-filter`), or its
 * destination cannot be; it is for
 * somebody else, and this is no router; or routing refuses it.
 */
export type InputRefusal =
  | 'martian'
  | 'martian-destination'
  | 'rp-filter'
  | 'not-for-us'
  | 'no-route'
  | 'unreachable'
  | 'prohibit'
  | 'blackhole';

/** Whether a packet of a source may come in by a device; `attached` where the source is on its very link. */
type SourceValidity = 'ok' | 'attached' | 'martian' | 'rp-filter';

/** Where a packet that came in goes (`ip_route_input_slow`): to the host, to its broadcasts, or on. */
export function routeInput(
  ns: Netns,
  device: Device,
  dst: number,
  hash: number,
  flow: FlowKey,
): Path | InputRefusal {
  const { src } = flow;
  const { all } = ns.sysctls;
  // What lo brings was routed as it left.
  const checked = device.kind !== 'loopback';
  if (checked) {
    if (isMulticast(src) || src === LIMITED_BROADCAST) return 'martian';
    if (src === 0 && dst !== LIMITED_BROADCAST && dst !== 0) return 'martian';
    if (dst === 0 && src !== 0) return 'martian-destination';
    if (isLoopback(src) || isLoopback(dst)) {
      if ((device.conf.route_localnet | all.route_localnet) === 0)
        return isLoopback(dst) ? 'martian-destination' : 'martian';
    }
  }
  const path = fibLookup(ns, dst, hash, flow);
  if (path === null) return device.conf.forwarding === 0 ? 'not-for-us' : 'no-route';
  if (path.type === 'local' || path.type === 'broadcast') {
    if (checked && (path.type === 'local' || src !== 0)) {
      const validity = validateSource(ns, device, dst, flow, null);
      if (validity === 'martian' || validity === 'rp-filter') return validity;
    }
    return path;
  }
  if (device.conf.forwarding === 0) return 'not-for-us';
  if (path.type !== 'unicast') return path.type;
  if (checked) {
    const validity = validateSource(ns, device, dst, flow, path.device);
    if (validity === 'martian' || validity === 'rp-filter') return validity;
  }
  return path;
}

/**
 * `fib_validate_source`: by default a source may be anybody but the host itself; with rp_filter it must be reached by the
 * device it came by (1, RFC 3704 §2.2), or by any (2, §2.4). `out` is where the packet goes on, null if it is for the host.
 */
export function validateSource(
  ns: Netns,
  device: Device,
  dst: number,
  flow: FlowKey,
  out: Device | null,
): SourceValidity {
  const { all } = ns.sysctls;
  const { conf } = device;
  // What was sealed has proved where it is from.
  const filter = ns.xfrm.unsealing ? 0 : Math.max(conf.rp_filter, all.rp_filter);
  const acceptLocal = (conf.accept_local | all.accept_local) !== 0;
  const back = out === device && (conf.send_redirects | all.send_redirects) !== 0;
  if (filter <= 0 && !back) {
    if (acceptLocal) return 'ok';
    if (!ns.rules.custom && !ns.tables.customLocal) return ns.isLocal(flow.src) ? 'martian' : 'ok';
  }
  const marked = (conf.src_valid_mark | all.src_valid_mark) !== 0;
  const way: FlowKey = {
    src: dst,
    tos: flow.tos,
    mark: marked ? flow.mark : 0,
    proto: flow.proto,
    sport: flow.dport,
    dport: flow.sport,
    iif: out,
    oif: null,
  };
  const path = fibLookup(ns, flow.src, 0, way);
  if (path === null || isRefusal(path)) return filter > 0 ? 'rp-filter' : 'ok';
  if (path.type !== 'unicast' && (path.type !== 'local' || !acceptLocal)) return 'martian';
  const hops = path.route?.nexthops ?? [];
  const hop = hops.find((candidate) => candidate.device === device);
  if (hop !== undefined) return isAttached(hop, 0) ? 'attached' : 'ok';
  if (path.type === 'local') return 'ok';
  if (device.addresses.length === 0) return filter > 0 ? 'rp-filter' : 'ok';
  return filter === 1 ? 'rp-filter' : 'ok';
}

function isRefusal({ type }: Path): boolean {
  return type === 'blackhole' || type === 'unreachable' || type === 'prohibit';
}

/** Whether the sender of a packet is to be told of a better way: its next router is on its own link (`__mkroute_input`). */
export function wantsRedirect(ns: Netns, device: Device, dst: number, flow: FlowKey, path: Path): boolean {
  const { all } = ns.sysctls;
  const { conf } = device;
  if (path.device !== device || (conf.send_redirects | all.send_redirects) === 0) return false;
  if (validateSource(ns, device, dst, flow, device) !== 'attached') return false;
  const gateway = path.via6 === undefined ? path.nexthop : 0;
  return (conf.shared_media | all.shared_media) !== 0 || ns.addresses.onLink(device, flow.src, gateway);
}
