import { ACK, RST, segmentLength, type TcpSegment } from './segment.ts';
import { seqAdd } from './sequence.ts';

/** The RST that answers a segment for which there is no connection (RFC 9293 §3.10.7.1). Not for a segment with RST. */
export function resetFor(segment: TcpSegment): TcpSegment {
  const { flags } = segment;
  const ports = { srcPort: segment.dstPort, dstPort: segment.srcPort };
  const rest = { window: 0, urgent: 0, payload: new Uint8Array(0) };
  if ((flags & ACK) !== 0) return { ...ports, ...rest, seq: segment.ack, ack: 0, flags: RST };
  return { ...ports, ...rest, seq: 0, ack: seqAdd(segment.seq, segmentLength(segment)), flags: RST | ACK };
}
