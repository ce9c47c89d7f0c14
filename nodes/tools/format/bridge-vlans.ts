import type { BridgeVlanFacts } from '../../events/kernel.ts';
import { formatJson, type JsonStyle } from './json.ts';

/** A port of a bridge, or a bridge, with the VLANs that it is in. */
export interface PortVlans {
  readonly name: string;
  readonly vlans: readonly BridgeVlanFacts[];
}

interface VlanFormat {
  readonly json?: JsonStyle;
  /** `-c`: consecutive VLANs of the same flags are one range. */
  readonly ranges?: 'compressed';
}

/** `IFNAMSIZ` and `VLAN_ID_LEN`. */
const NAME_WIDTH = 16;
const ID_WIDTH = 9;

interface Range {
  readonly first: BridgeVlanFacts;
  last: number;
}

/** Text of `bridge vlan show`, as iproute2 6.1 prints it (`print_vlan_info` of bridge/vlan.c). */
export function formatBridgeVlans(ports: readonly PortVlans[], format: VlanFormat = {}): string {
  const rows = ports
    .map(({ name, vlans }) => ({ name, ranges: rangesOf(vlans, format) }))
    .filter(({ ranges }) => ranges.length > 0);
  if (format.json !== undefined) {
    const objects = rows.map(({ name, ranges }) => ({
      ifname: name,
      vlans: ranges.map(({ first, last }) => ({
        vlan: first.vid,
        ...(last === first.vid ? {} : { vlanEnd: last }),
        ...(flagsOf(first).length === 0 ? {} : { flags: flagsOf(first) }),
      })),
    }));
    return formatJson(objects, format.json);
  }
  const header = `${'port'.padEnd(NAME_WIDTH)}  ${'vlan-id'.padEnd(ID_WIDTH)}\n`;
  const lines = rows.flatMap(({ name, ranges }) =>
    ranges.map(({ first, last }, i) => {
      const id = last === first.vid ? String(first.vid) : `${first.vid}-${last}`;
      const flags = flagsOf(first).map((flag) => ` ${flag}`);
      return `${(i === 0 ? name : '').padEnd(NAME_WIDTH)}  ${id}${flags.join('')}\n`;
    }),
  );
  return header + lines.join('');
}

function flagsOf({ pvid, untagged }: BridgeVlanFacts): string[] {
  return [...(pvid === true ? ['PVID'] : []), ...(untagged === true ? ['Egress Untagged'] : [])];
}

function rangesOf(vlans: readonly BridgeVlanFacts[], { ranges }: VlanFormat): Range[] {
  const found: Range[] = [];
  for (const vlan of vlans) {
    const previous = found.at(-1);
    const joins =
      ranges === 'compressed' &&
      previous?.last === vlan.vid - 1 &&
      flagsOf(previous.first).join() === flagsOf(vlan).join() &&
      vlan.pvid !== true;
    if (joins && previous !== undefined) previous.last = vlan.vid;
    else found.push({ first: vlan, last: vlan.vid });
  }
  return found;
}
