import { bytesKey, u16, u32 } from '../../../protocols/bytes.ts';

/** What tcpdump prints of TCP: sequence numbers relative to the first of each connection that it has seen (`tcp_print`). */
export class TcpText {
  readonly #connections = new Map<
    string,
    { readonly seq: number; readonly ack: number; readonly from: string }
  >();
  readonly #numbers: 'relative' | 'absolute';

  constructor(numbers: 'relative' | 'absolute') {
    this.#numbers = numbers;
  }

  /** `end` is where the segment ends. Addresses are the packet's, as text. */
  format(buf: Uint8Array, at: number, end: number, src: string, dst: string): string {
    const [srcPort, dstPort] = [u16(buf, at), u16(buf, at + 2)];
    const headerLength = (buf[at + 12]! >>> 4) * 4;
    if (headerLength < 20 || at + headerLength > end)
      return `tcp ${end - at} [bad hdr length ${headerLength}, too short, < 20]`;
    const bits = buf[at + 13]!;
    const length = end - at - headerLength;
    const letters = 'FSRP.UEW';
    const flags = [...letters].filter((_, i) => (bits & (1 << i)) !== 0).join('') || 'none';
    const { seq, ack } = this.#relative(
      `${src}.${srcPort}`,
      `${dst}.${dstPort}`,
      u32(buf, at + 4),
      u32(buf, at + 8),
      bits,
    );
    let text = `Flags [${flags}]`;
    if (length > 0) text += `, seq ${seq}:${(seq + length) >>> 0}`;
    else if ((bits & 0x07) !== 0) text += `, seq ${seq}`;
    if ((bits & 0x10) !== 0) text += `, ack ${ack}`;
    text += `, win ${u16(buf, at + 14)}`;
    if ((bits & 0x20) !== 0) text += `, urg ${u16(buf, at + 18)}`;
    const options = optionTexts(buf, at + 20, at + headerLength);
    if (options.length > 0) text += `, options [${options.join(',')}]`;
    text += `, length ${length}`;
    const http = srcPort === 80 || dstPort === 80 ? httpLine(buf, at + headerLength, end) : '';
    return http === '' ? text : `${text}: HTTP: ${http}`;
  }

  #relative(
    from: string,
    to: string,
    seq: number,
    ack: number,
    bits: number,
  ): { readonly seq: number; readonly ack: number } {
    if (this.#numbers === 'absolute' || (bits & 0x10) === 0) return { seq, ack };
    const key = from < to ? `${from} ${to}` : `${to} ${from}`;
    const known = this.#connections.get(key);
    if (known === undefined || (bits & 0x02) !== 0) {
      this.#connections.set(key, { seq, ack: (ack - 1) >>> 0, from });
      return { seq, ack };
    }
    const [ownBase, peerBase] = known.from === from ? [known.seq, known.ack] : [known.ack, known.seq];
    return { seq: (seq - ownBase) >>> 0, ack: (ack - peerBase) >>> 0 };
  }
}

function optionTexts(buf: Uint8Array, from: number, end: number): string[] {
  const texts: string[] = [];
  for (let at = from; at < end; ) {
    const kind = buf[at]!;
    if (kind === 0) {
      texts.push('eol');
      break;
    }
    if (kind === 1) {
      texts.push('nop');
      at++;
      continue;
    }
    const size = buf[at + 1] ?? 0;
    if (size < 2 || at + size > end) break;
    if (kind === 2 && size === 4) texts.push(`mss ${u16(buf, at + 2)}`);
    else if (kind === 3 && size === 3) texts.push(`wscale ${buf[at + 2]}`);
    else if (kind === 4) texts.push('sackOK');
    else if (kind === 8 && size === 10) texts.push(`TS val ${u32(buf, at + 2)} ecr ${u32(buf, at + 6)}`);
    else texts.push(`unknown-${kind}`);
    at += size;
  }
  return texts;
}

/** The first line, where it looks like one of HTTP. */
function httpLine(buf: Uint8Array, from: number, end: number): string {
  const text = bytesKey(buf, from, Math.min(end, from + 512));
  const [line = ''] = /^[^\r\n]*/.exec(text) ?? [];
  return /^(HTTP\/\d\.\d |[A-Z]+ \S+ HTTP\/)/.test(line) ? line.replace(/[^\x20-\x7e]/g, '.') : '';
}
