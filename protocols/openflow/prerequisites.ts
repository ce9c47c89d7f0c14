import type { Action } from './action.ts';
import { BAD_ACTION, BAD_MATCH, ERROR, OpenFlowError, RESERVED_PORTS, VID_PRESENT } from './constants.ts';
import type { FieldName, Match } from './oxm.ts';

/** What has to be said of a packet for a field to be there (§7.2.3.8). */
interface Known {
  type: number | null;
  proto: number | null;
  tags: number;
}

const IPV4 = 0x0800;
const ARP = 0x0806;
const IPV6 = 0x86dd;

function isThere(field: FieldName, { type, proto, tags }: Known): boolean {
  const isIp = type === IPV4 || type === IPV6;
  switch (field) {
    case 'vlan_pcp':
      return tags > 0;
    case 'ip_dscp':
    case 'ip_ecn':
    case 'ip_proto':
      return isIp;
    case 'ipv4_src':
    case 'ipv4_dst':
      return type === IPV4;
    case 'ipv6_src':
    case 'ipv6_dst':
      return type === IPV6;
    case 'tcp_src':
    case 'tcp_dst':
      return isIp && proto === 6;
    case 'udp_src':
    case 'udp_dst':
      return isIp && proto === 17;
    case 'icmpv4_type':
    case 'icmpv4_code':
      return type === IPV4 && proto === 1;
    case 'arp_op':
    case 'arp_spa':
    case 'arp_tpa':
    case 'arp_sha':
    case 'arp_tha':
      return type === ARP;
    default:
      return true;
  }
}

function knownOf(match: Match): Known {
  const value = (field: FieldName) => {
    const oxm = match.find((one) => one.field === field);
    return oxm === undefined || oxm.mask !== null ? null : Number(oxm.value);
  };
  const vlan = match.find(({ field }) => field === 'vlan_vid');
  return {
    type: value('eth_type'),
    proto: value('ip_proto'),
    tags: vlan !== undefined && (vlan.value & BigInt(VID_PRESENT)) !== 0n ? 1 : 0,
  };
}

/** @throws OpenFlowError where a match looks at a field that its packets need not have. */
export function checkMatch(match: Match): void {
  const known = knownOf(match);
  for (const { field } of match)
    if (!isThere(field, known))
      throw new OpenFlowError(
        `the match does not say that there is ${field}`,
        ERROR.BAD_MATCH,
        BAD_MATCH.BAD_PREREQ,
      );
}

/** What packets never have written into them: where they came from and what they are (`mf_is_value_valid`, `writable`). */
const FIXED: readonly FieldName[] = ['in_port', 'eth_type', 'ip_proto', 'icmpv4_type', 'icmpv4_code'];

/**
 * Whether actions can be carried out on the packets that a match takes, as `ofpacts_check` of Open vSwitch has it.
 * A match that is 'any' is that of an action set, of which nobody knows what it meets. `hasGroup` says whether there is a
 * group; null where nobody asks. @throws OpenFlowError
 */
export function checkActions(
  actions: readonly Action[],
  match: Match | 'any',
  hasGroup: ((group: number) => boolean) | null,
): void {
  const known = knownOf(match === 'any' ? [] : match);
  const bad = (message: string, code: number) => new OpenFlowError(message, ERROR.BAD_ACTION, code);
  const isAny = match === 'any';
  for (const action of actions)
    switch (action.type) {
      case 'output':
        if (action.port === 0 || action.port === RESERVED_PORTS.ANY || isUnknown(action.port))
          throw bad(`nothing can go to port ${action.port}`, BAD_ACTION.BAD_OUT_PORT);
        break;
      case 'push_vlan':
        if (action.ethertype !== 0x8100 && action.ethertype !== 0x88a8)
          throw bad('a tag is of type 0x8100 or 0x88a8', BAD_ACTION.BAD_ARGUMENT);
        known.tags++;
        break;
      case 'pop_vlan':
        if (known.tags === 0 && !isAny)
          throw bad('the match does not say that there is a tag', BAD_ACTION.MATCH_INCONSISTENT);
        known.tags = Math.max(0, known.tags - 1);
        break;
      case 'dec_ttl':
      case 'set_nw_ttl':
        if (known.type !== IPV4 && known.type !== IPV6 && !isAny)
          throw bad('the match does not say that there is a TTL', BAD_ACTION.MATCH_INCONSISTENT);
        break;
      case 'set_field': {
        const { field, value } = action.oxm;
        if (FIXED.includes(field)) throw bad(`${field} cannot be set`, BAD_ACTION.BAD_SET_ARGUMENT);
        if (field === 'vlan_vid') {
          if ((value & BigInt(VID_PRESENT)) === 0n)
            throw bad('vlan_vid is set with 0x1000 in it', BAD_ACTION.BAD_SET_ARGUMENT);
          if (known.tags === 0 && !isAny)
            throw bad('the match does not say that there is a tag', BAD_ACTION.MATCH_INCONSISTENT);
        }
        if (!isThere(field, known) && !isAny)
          throw bad(`the match does not say that there is ${field}`, BAD_ACTION.MATCH_INCONSISTENT);
        break;
      }
      case 'group':
        if (hasGroup !== null && !hasGroup(action.group))
          throw bad(`there is no group ${action.group}`, BAD_ACTION.BAD_OUT_GROUP);
    }
}

/** Numbers above those of ports that stand for nothing. */
function isUnknown(port: number): boolean {
  return port > 0xffffff00 && port < RESERVED_PORTS.IN_PORT;
}
