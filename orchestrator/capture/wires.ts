import type { InterfaceConfig, NodeConfig } from '../../nodes/config.ts';
import { isGroupMac, parseMac, readMac } from '../../protocols/mac.ts';
import { LINKTYPE_ETHERNET } from '../../protocols/pcapng.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import type { Recorder } from './recorder.ts';
import { type CaptureTarget, targetName } from './target.ts';

/** A frame on a wire, as an observer sees it who is not on the wire. */
export interface WireFrame {
  readonly frame: Uint8Array;
  /** Bytes on the wire, where a recording has cut the frame. */
  readonly length?: number;
  /** Number of the sender, and which of its ports. */
  readonly node: number;
  readonly port: number;
  readonly cause: number;
  /** ms, the lab's clock. */
  readonly sentAt: number;
  readonly arrivesAt: number;
}

/**
 * Order of frames of one time. A node's time does not move while it works on a frame: what comes in by a port does so
 * before it passes the devices inside, whose frames are numbered from 1, and what goes out does so after. On a wire
 * without delay a frame leaves before it arrives all the same.
 */
const BEFORE_INSIDE = 0;
const AFTER_INSIDE = Number.MAX_SAFE_INTEGER - 1;
const ARRIVED_AT_ONCE = Number.MAX_SAFE_INTEGER;

/** Gives all frames of a segment, each once. Returns what ends it. */
export type ObserveWire = (segment: string, onFrame: (frame: WireFrame) => void) => () => void;

export type WireTarget = Extract<CaptureTarget, { type: 'link' | 'port' }>;

/** Listens to the wires of links and ports. A wire is listened to once, however many interfaces show it. */
export function captureWires(
  lab: CompiledLab,
  targets: readonly WireTarget[],
  observe: ObserveWire,
  recorder: Recorder,
  options: { readonly now: number; readonly filter: string },
): () => void {
  const listeners = new Map<string, ((frame: WireFrame) => void)[]>();
  for (const target of targets) {
    const segment = target.type === 'link' ? target.segment.name : target.iface.segment;
    const listener =
      target.type === 'link'
        ? linkListener(recorder, target, options)
        : portListener(recorder, lab, target, options);
    listeners.set(segment, [...(listeners.get(segment) ?? []), listener]);
  }
  const stops = [...listeners].map(([segment, all]) =>
    observe(segment, (frame) => {
      for (const listener of all) listener(frame);
    }),
  );
  return () => {
    for (const stop of stops) stop();
  };
}

/** Ends that a link's description names. */
const MAX_ENDS = 8;

function linkListener(
  recorder: Recorder,
  target: Extract<WireTarget, { type: 'link' }>,
  options: { readonly now: number; readonly filter: string },
) {
  const { kind, members } = target.segment;
  const ends = members.slice(0, MAX_ENDS).map((member) => `${member.node}:${member.iface}`);
  const more = members.length > MAX_ENDS ? ` and ${members.length - MAX_ENDS} more` : '';
  const description = `${kind === 'lan' ? 'LAN of' : 'link of'} ${ends.join(' ')}${more}`;
  const info = { linkType: LINKTYPE_ETHERNET, name: targetName(target), mac: 0, filter: options.filter };
  const recorded = recorder.addInterface({ ...info, description }, options.now);
  return ({ frame, length = frame.length, cause, sentAt }: WireFrame) =>
    recorded.offer({
      at: sentAt,
      direction: 'none',
      length,
      data: frame,
      cause,
      order: AFTER_INSIDE,
    });
}

function portListener(
  recorder: Recorder,
  lab: CompiledLab,
  target: Extract<WireTarget, { type: 'port' }>,
  options: { readonly now: number; readonly filter: string },
) {
  const { node, iface } = target;
  const mac = parseMac(iface.mac) ?? 0;
  const info = { linkType: LINKTYPE_ETHERNET, name: targetName(target), mac, filter: options.filter };
  const recorded = recorder.addInterface({ ...info, description: describePort(lab, iface) }, options.now);
  return (seen: WireFrame) => {
    const { frame, length = frame.length, cause } = seen;
    const direction = directionAt(node, iface.port, mac, seen);
    if (direction === null) return;
    const at = direction === 'out' ? seen.sentAt : seen.arrivesAt;
    const order = direction === 'out' ? AFTER_INSIDE : at > seen.sentAt ? BEFORE_INSIDE : ARRIVED_AT_ONCE;
    recorded.offer({ at, direction, length, data: frame, cause, order });
  };
}

/** The link's name, and who is at the other end of it. */
function describePort(lab: CompiledLab, { segment: name }: InterfaceConfig): string {
  const segment = lab.segments.find((candidate) => candidate.name === name);
  return segment?.kind === 'lan' ? `LAN ${name}` : `link ${name}`;
}

/** Which way a frame goes by a port; null if it does not come by. */
function directionAt(
  node: NodeConfig,
  port: number,
  mac: number,
  { frame, ...sender }: WireFrame,
): 'in' | 'out' | null {
  if (sender.node === node.number && sender.port === port) return 'out';
  if (frame.length < 6) return null;
  const dst = readMac(frame, 0);
  return dst === mac || isGroupMac(dst) ? 'in' : null;
}
