import { formatMac } from '../mac.ts';
import { FLOW_FLAGS } from './constants.ts';
import { flagWords, formatInstructions, formatRule } from './flow-text.ts';
import type { GroupMod } from './group.ts';
import { formatGroup } from './group-text.ts';
import { formatPort } from './match-text.ts';
import type { FlowMod, FlowStats, OfBody, OfPort, PortStats } from './message.ts';
import type { MeterMod } from './meter.ts';
import { formatMeter } from './meter-text.ts';

/** `12.034s` (`ofp_print_duration`) */
export function durationText(sec: number, nsec: number): string {
  if (nsec === 0) return `${sec}s`;
  const digits = nsec % 1e6 === 0 ? String(nsec / 1e6).padStart(3, '0') : String(nsec).padStart(9, '0');
  return `${sec}.${digits}s`;
}

/** A line of `ovs-ofctl dump-flows`, without its end; with 'rules' what it has counted is left out. */
export function flowLine(flow: FlowStats, what: 'counted' | 'rules' = 'counted'): string {
  const { cookie, table, packets, bytes, durationSec, durationNsec } = flow;
  const cookieText = `cookie=0x${cookie.toString(16)}`;
  const duration = durationText(durationSec, durationNsec);
  const head =
    what === 'counted'
      ? [cookieText, `duration=${duration}`, `table=${table}`, `n_packets=${packets}`, `n_bytes=${bytes}`]
      : [...(cookie === 0n ? [] : [cookieText]), ...(table === 0 ? [] : [`table=${table}`])];
  return ` ${[...head, flowTail(flow)].join(', ')}`;
}

/** Timeouts and flags, each with a comma or blank behind it, the rule, and what is done. */
function flowTail({ idleTimeout, hardTimeout, flags, priority, match, instructions }: FlowStats): string {
  const times = [
    ...(idleTimeout === 0 ? [] : [`idle_timeout=${idleTimeout}, `]),
    ...(hardTimeout === 0 ? [] : [`hard_timeout=${hardTimeout}, `]),
  ];
  const rule = formatRule(priority, match);
  const words = flagWords(flags).map((word) => `${word} `);
  return [
    ...times,
    ...words,
    rule,
    rule === '' ? '' : ' ',
    `actions=${formatInstructions(instructions)}`,
  ].join('');
}

/** The two lines of a port in `dump-ports`, with the one of its age. */
export function portStatsLines(port: PortStats): string {
  const { rxPackets, rxBytes, rxDropped, txPackets, txBytes, txDropped } = port;
  return (
    `  port ${formatPort(port.port).padStart(2)}: rx pkts=${rxPackets}, bytes=${rxBytes}, drop=${rxDropped}, errs=0, frame=0, over=0, crc=0\n` +
    `           tx pkts=${txPackets}, bytes=${txBytes}, drop=${txDropped}, errs=0, coll=0\n` +
    `           duration=${durationText(port.durationSec, port.durationNsec)}\n`
  );
}

const CONFIG_WORDS = [
  [1, 'PORT_DOWN'],
  [4, 'NO_RECV'],
  [0x20, 'NO_FWD'],
  [0x40, 'NO_PACKET_IN'],
] as const;

/** A port in `show` and `dump-ports-desc`. */
export function portLines({ port, name, mac, config, state }: OfPort, isLocal: boolean): string {
  const words = CONFIG_WORDS.filter(([bit]) => (config & bit) !== 0).map(([, word]) => word);
  const features = isLocal
    ? '     speed: 0 Mbps now, 0 Mbps max\n'
    : '     current:    10GB-FD COPPER\n     speed: 10000 Mbps now, 0 Mbps max\n';
  return (
    ` ${formatPort(port)}(${name}): addr:${formatMac(mac)}\n` +
    `     config:     ${words.length === 0 ? '0' : words.join(' ')}\n` +
    `     state:      ${(state & 1) !== 0 ? 'LINK_DOWN' : 'LIVE'}\n${features}`
  );
}

/** A message that a switch has refused, as ovs-ofctl shows it below the error. */
export function requestText(body: OfBody, xid: string): string {
  switch (body.type) {
    case 'flow_mod':
      return `OFPT_FLOW_MOD (OF1.3) (xid=${xid}): ${flowModText(body)}\n`;
    case 'group_mod':
      return `OFPT_GROUP_MOD (OF1.3) (xid=${xid}):\n ${groupModText(body)}\n`;
    case 'meter_mod':
      return `OFPT_METER_MOD (OF1.3) (xid=${xid}): ${meterModText(body)}\n`;
    case 'multipart_request': {
      const { request } = body;
      if (request.kind !== 'meter' && request.kind !== 'meter_config') return '';
      return `OFPST_${request.kind.toUpperCase()} request (OF1.3) (xid=${xid}): meter=${request.meter}\n`;
    }
    default:
      return '';
  }
}

const FLOW_COMMANDS = {
  add: 'ADD',
  modify: 'MOD',
  modify_strict: 'MOD_STRICT',
  delete: 'DEL',
  delete_strict: 'DEL_STRICT',
} as const;
const COMMANDS = { add: 'ADD', modify: 'MOD', delete: 'DEL' } as const;

function flowModText(mod: FlowMod): string {
  const { cookie, cookieMask, idleTimeout, hardTimeout, flags, table } = mod;
  const rule = formatRule(mod.priority, mod.match);
  const words = [
    FLOW_COMMANDS[mod.command],
    ...(table === 0 ? [] : [`table:${table}`]),
    ...(rule === '' ? [] : [rule]),
    ...(cookie === 0n || cookieMask !== 0n ? [] : [`cookie:0x${cookie.toString(16)}`]),
    ...(cookieMask === 0n ? [] : [`cookie:0x${cookie.toString(16)}/0x${cookieMask.toString(16)}`]),
    ...(idleTimeout === 0 ? [] : [`idle:${idleTimeout}`]),
    ...(hardTimeout === 0 ? [] : [`hard:${hardTimeout}`]),
    ...((flags & FLOW_FLAGS.CHECK_OVERLAP) === 0 ? [] : ['check_overlap']),
    ...flagWords(flags),
    `actions=${formatInstructions(mod.instructions)}`,
  ];
  return words.join(' ');
}

function groupModText({ command, ...spec }: GroupMod): string {
  return `${COMMANDS[command]} ${formatGroup(spec)}`;
}

function meterModText({ command, ...spec }: MeterMod): string {
  return `${COMMANDS[command]} ${formatMeter(spec)}`;
}
