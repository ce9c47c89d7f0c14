import type { FdbFacts } from '../../events/kernel.ts';
import { formatJson, type JsonStyle } from './json.ts';

interface FdbFormat {
  readonly json?: JsonStyle;
  /** Left out when the listing is of one device. */
  readonly dev?: 'shown' | 'hidden';
}

/**
 * Text of `bridge fdb show`, byte for byte as iproute2 6.1 prints it, in the order given. A row of a bridge shows the
 * port as its device and the bridge as master; a row of a VXLAN device is its own (`self`).
 */
export function formatFdb(rows: readonly FdbFacts[], format: FdbFormat = {}): string {
  const hidden = format.dev === 'hidden';
  if (format.json !== undefined) {
    const objects = rows.map((row) => ({
      mac: row.mac,
      ...(hidden ? {} : { ifname: fdbDevice(row) }),
      ...(row.dst === '' ? {} : { dst: row.dst }),
      ...(row.via === undefined ? {} : { viaIf: row.via }),
      ...(row.vlan === undefined ? {} : { vlan: row.vlan }),
      ...(row.port === '' ? { flags: ['self'] } : { flags: [], master: row.dev }),
      state: stateOf(row),
    }));
    return formatJson(objects, format.json);
  }
  return rows
    .map((row) => {
      const dev = hidden ? '' : `dev ${fdbDevice(row)} `;
      const dst = row.dst === '' ? '' : `dst ${row.dst} `;
      const via = row.via === undefined ? '' : `via ${row.via} `;
      const vlan = row.vlan === undefined ? '' : `vlan ${row.vlan} `;
      return `${row.mac} ${dev}${dst}${via}${vlan}${row.port === '' ? 'self' : `master ${row.dev}`} ${stateOf(row)}\n`;
    })
    .join('');
}

/** The device that bridge(8) gives a row. */
export function fdbDevice(row: FdbFacts): string {
  return row.port === '' ? row.dev : row.port;
}

/** A learned row has no state. */
function stateOf(row: FdbFacts): string {
  return row.kind === 'learned' ? '' : row.kind;
}
