import { eventNode, eventSeq } from '../../nodes/events/record.ts';
import type { AnyRecord } from '../events.ts';

/** An event id as people write it: node name, colon, sequence number. '-' for none. */
export function formatEventId(id: number, nameOf: (number: number) => string): string {
  return id === 0 ? '-' : `${nameOf(eventNode(id))}:${eventSeq(id)}`;
}

/** One line of `reroute log`: time, id, cause, type, and the event's own fields. `start` is the lab's, ms. */
export function formatRecord(record: AnyRecord, start: number, nameOf: (number: number) => string): string {
  const { type, ...fields } = record.event;
  const time = `+${((record.at - start) / 1000).toFixed(6)}s`;
  const id = formatEventId(record.id, nameOf);
  const cause = formatEventId(record.cause, nameOf);
  return `${time.padStart(13)}  ${id.padEnd(10)} <- ${cause.padEnd(10)}  ${type.padEnd(18)} ${formatFields(fields)}`.trimEnd();
}

function formatFields(fields: object): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${formatValue(value)}`)
    .join(' ');
}

function formatValue(value: unknown): string {
  if (value instanceof Uint8Array)
    return `<${value.length} bytes ${hex(value.subarray(0, 24))}${value.length > 24 ? '…' : ''}>`;
  if (typeof value === 'string') return /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(formatValue).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return `{${formatFields(value)}}`;
  return String(value);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
