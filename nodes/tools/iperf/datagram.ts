import { setU32, u32 } from '../../../protocols/bytes.ts';

/**
 * Head of iperf 2's datagrams, big-endian: number (4, signed: the last one's is negated), time sent as seconds (4) and
 * microseconds (4), high word of the number (4).
 */
export function writeDatagram(buf: Uint8Array, id: number, ms: number): void {
  setU32(buf, 0, id >>> 0);
  setU32(buf, 4, Math.floor(ms / 1000) >>> 0);
  setU32(buf, 8, Math.floor((ms % 1000) * 1000));
  setU32(buf, 12, id < 0 ? 0xffffffff : 0);
}

/** Null for what is too short to be one. */
export function readDatagram(buf: Uint8Array): { readonly id: number; readonly sentAt: number } | null {
  if (buf.length < 16) return null;
  return { id: u32(buf, 0) | 0, sentAt: u32(buf, 4) * 1000 + u32(buf, 8) / 1000 };
}

/** What the server has counted, as it tells the client. */
export interface ServerReport {
  readonly bytes: number;
  /** Length of the run, ms. */
  readonly took: number;
  readonly lost: number;
  readonly outOfOrder: number;
  readonly datagrams: number;
  /** ms */
  readonly jitter: number;
}

const REPORT_FLAG = 0x80000000;
const REPORT_AT = 16;
export const REPORT_LENGTH = REPORT_AT + 40;

/** Writes the report behind a datagram's head (`struct server_hdr_v1`): ten words of 4 bytes. */
export function writeReport(buf: Uint8Array, report: ServerReport): void {
  const words = [
    REPORT_FLAG,
    Math.floor(report.bytes / 2 ** 32),
    report.bytes >>> 0,
    Math.floor(report.took / 1000),
    Math.floor((report.took % 1000) * 1000),
    report.lost,
    report.outOfOrder,
    report.datagrams,
    Math.floor(report.jitter / 1000),
    Math.floor((report.jitter % 1000) * 1000),
  ];
  for (const [i, word] of words.entries()) setU32(buf, REPORT_AT + 4 * i, word >>> 0);
}

/** Null for what is none. */
export function readReport(buf: Uint8Array): ServerReport | null {
  if (buf.length < REPORT_LENGTH || (u32(buf, REPORT_AT) & REPORT_FLAG) === 0) return null;
  const word = (i: number) => u32(buf, REPORT_AT + 4 * i);
  return {
    bytes: word(1) * 2 ** 32 + word(2),
    took: word(3) * 1000 + word(4) / 1000,
    lost: word(5),
    outOfOrder: word(6),
    datagrams: word(7),
    jitter: word(8) * 1000 + word(9) / 1000,
  };
}
