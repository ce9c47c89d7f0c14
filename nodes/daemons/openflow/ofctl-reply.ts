import { RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import { GROUP_TYPES, type GroupStats } from '../../../protocols/openflow/group.ts';
import { formatGroup } from '../../../protocols/openflow/group-text.ts';
import { formatPort } from '../../../protocols/openflow/match-text.ts';
import type { MultipartReply, OfBody, TableStats } from '../../../protocols/openflow/message.ts';
import {
  durationText,
  flowLine,
  portLines,
  portStatsLines,
} from '../../../protocols/openflow/message-text.ts';
import { METER_FLAGS, type MeterStats } from '../../../protocols/openflow/meter.ts';
import { formatMeter } from '../../../protocols/openflow/meter-text.ts';

const ofpst = (name: string, xid: string) => `OFPST_${name} reply (OF1.3) (xid=${xid}):`;

/** What ovs-ofctl prints of a reply. `flows`: with what flows have counted, or without and without a head. */
export function replyText(
  reply: MultipartReply,
  xid: string,
  flows: 'counted' | 'rules' = 'counted',
): string {
  switch (reply.kind) {
    case 'desc':
      return (
        `${ofpst('DESC', xid)}\nManufacturer: ${reply.manufacturer}\nHardware: ${reply.hardware}\n` +
        `Software: ${reply.software}\nSerial Num: ${reply.serial}\nDP Description: ${reply.datapath}\n`
      );
    case 'flow': {
      const lines = reply.flows.map((flow) => `${flowLine(flow, flows)}\n`);
      return flows === 'rules' ? lines.join('') : `${ofpst('FLOW', xid)}\n${lines.join('')}`;
    }
    case 'aggregate':
      return `${ofpst('AGGREGATE', xid)} packet_count=${reply.packets} byte_count=${reply.bytes} flow_count=${reply.flows}\n`;
    case 'table':
      return `${ofpst('TABLE', xid)}\n${tablesText(reply.tables)}`;
    case 'port_stats': {
      const isLocal = ({ port }: { readonly port: number }) => port === RESERVED_PORTS.LOCAL;
      const ports = [...reply.ports].sort((a, b) => Number(isLocal(b)) - Number(isLocal(a)));
      return `${ofpst('PORT', xid)} ${ports.length} ports\n${ports.map(portStatsLines).join('')}`;
    }
    case 'port_desc': {
      const ports = reply.ports.map((port) => portLines(port, port.port === RESERVED_PORTS.LOCAL));
      return `${ofpst('PORT_DESC', xid)}\n${ports.join('')}`;
    }
    case 'table_features':
      return `${ofpst('TABLE_FEATURES', xid)}\n`;
    case 'queue': {
      const rows = reply.queues.map(
        ({ port, queue, bytes, packets, errors, durationSec, durationNsec }) =>
          `  port ${formatPort(port)} queue ${queue}: bytes=${bytes}, pkts=${packets}, errors=${errors}, duration=${durationText(durationSec, durationNsec)}\n`,
      );
      return `${ofpst('QUEUE', xid)} ${rows.length} queues\n${rows.join('')}`;
    }
    case 'group':
      return `${ofpst('GROUP', xid)}\n${reply.groups.map(groupStatsLine).join('')}`;
    case 'group_desc':
      return `${ofpst('GROUP_DESC', xid)}\n${reply.groups.map((group) => ` ${formatGroup(group)}\n`).join('')}`;
    case 'group_features':
      return `${ofpst('GROUP_FEATURES', xid)}\n${groupFeaturesText(reply)}`;
    case 'meter':
      return `${ofpst('METER', xid)}\n${reply.meters.map(meterStatsText).join('\n')}`;
    case 'meter_config':
      return `${ofpst('METER_CONFIG', xid)}\n${reply.meters.map((meter) => `${formatMeter(meter)}\n`).join('\n')}`;
    case 'meter_features': {
      const bands = ['drop', 'dscp_remark'].filter((_, i) => (reply.bandTypes & (2 << i)) !== 0);
      const flags = Object.entries(METER_FLAGS).filter(([, bit]) => (reply.capabilities & bit) !== 0);
      return (
        `${ofpst('METER_FEATURES', xid)}\n` +
        `max_meter:${reply.maxMeter} max_bands:${reply.maxBands} max_color:${reply.maxColor}\n` +
        `band_types: ${bands.join(' ')}\n` +
        `capabilities: ${flags.map(([name]) => name.toLowerCase()).join(' ')}\n`
      );
    }
  }
}

/** `ovs-ofctl show` */
export function showText(
  features: OfBody | undefined,
  ports: MultipartReply,
  config: OfBody | undefined,
): string {
  if (features?.type !== 'features_reply' || config?.type !== 'get_config_reply') return '';
  const capabilities = ['FLOW_STATS', 'TABLE_STATS', 'PORT_STATS', 'GROUP_STATS', null, null, 'QUEUE_STATS'];
  const words = capabilities.filter(
    (word, bit) => word !== null && (features.capabilities & (1 << bit)) !== 0,
  );
  return [
    `OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:${features.datapathId.toString(16).padStart(16, '0')}\n`,
    `n_tables:${features.tables}, n_buffers:${features.buffers}\n`,
    `capabilities: ${words.join(' ')}\n`,
    replyText(ports, '0x3'),
    `OFPT_GET_CONFIG_REPLY (OF1.3) (xid=0x5): frags=normal miss_send_len=${config.missSendLen}\n`,
  ].join('');
}

/** Tables that have the same as the one before are told of in a line. */
function tablesText(tables: readonly TableStats[]): string {
  const text = ({ active, lookups, matched }: TableStats) =>
    `    active=${active}, lookup=${lookups}, matched=${matched}\n`;
  const parts: string[] = [];
  for (let i = 0; i < tables.length; ) {
    const one = tables[i];
    if (one === undefined) break;
    let last = i;
    while (last + 1 < tables.length && text(tables[last + 1] ?? one) === text(one)) last++;
    parts.push(`  table ${one.table}:\n${text(one)}\n`);
    if (last === i + 1) parts.push(`  table ${tables[last]?.table}: ditto\n`);
    else if (last > i) parts.push(`  tables ${tables[i + 1]?.table}...${tables[last]?.table}: ditto\n`);
    i = last + 1;
  }
  return parts.join('');
}

function groupStatsLine(stats: GroupStats): string {
  const { group, references, packets, bytes, durationSec, durationNsec, buckets } = stats;
  const words = [
    `group_id=${group}`,
    `duration=${durationText(durationSec, durationNsec)}`,
    `ref_count=${references}`,
    `packet_count=${packets}`,
    `byte_count=${bytes}`,
    ...buckets.map((bucket, i) => `bucket${i}:packet_count=${bucket.packets},byte_count=${bucket.bytes}`),
  ];
  return ` ${words.join(',')}\n`;
}

function meterStatsText({
  meter,
  flows,
  packets,
  bytes,
  durationSec,
  durationNsec,
  bands,
}: MeterStats): string {
  const duration = durationText(durationSec, durationNsec);
  const head = `meter:${meter} flow_count:${flows} packet_in_count:${packets} byte_in_count:${bytes} duration:${duration} bands:\n`;
  return (
    head + bands.map((band, i) => `${i}: packet_count:${band.packets} byte_count:${band.bytes}\n`).join('')
  );
}

/** By bit, as `ofp_print_group_features` names them. */
const ACTION_WORDS: readonly (readonly [number, string])[] = [
  [0, 'output'],
  [22, 'group'],
  [25, 'set_field'],
  [18, 'strip_vlan'],
  [17, 'push_vlan'],
  [23, 'mod_nw_ttl'],
  [24, 'dec_ttl'],
  [21, 'set_queue'],
];
const TYPE_NAMES = { all: 'all', select: 'select', indirect: 'indirect', ff: 'fast failover' } as const;

function groupFeaturesText(features: Extract<MultipartReply, { kind: 'group_features' }>): string {
  const { types, capabilities, maxGroups, actions } = features;
  const lines = [
    ' Group table:',
    `    Types:  0x${types.toString(16)}`,
    `    Capabilities:  0x${capabilities.toString(16)}`,
  ];
  for (const [i, type] of GROUP_TYPES.entries()) {
    if ((types & (1 << i)) === 0) continue;
    const words = ACTION_WORDS.filter(([bit]) => ((actions[i] ?? 0) & (1 << bit)) !== 0).map(
      ([, word]) => word,
    );
    lines.push(
      `    ${TYPE_NAMES[type]} group:`,
      `       max_groups=0x${(maxGroups[i] ?? 0).toString(16)}`,
      `       actions: ${words.join(' ')}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
