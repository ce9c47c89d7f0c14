import {
  type DnsQuestion,
  type RecordData,
  type ResourceRecord,
  typeCode,
  typeName,
} from '../../../protocols/dns/message.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatIp6 } from '../../../protocols/ip6.ts';

/** A name as tools print it: with the root's dot. */
export function dotted(name: string): string {
  return `${name}.`;
}

/** A record's data as a zone file has it (RFC 1035 §5.1, RFC 3597 §5). */
export function dataText(data: RecordData): string {
  switch (data.type) {
    case 'A':
      return formatIp4(data.address);
    case 'AAAA':
      return formatIp6(data.address);
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return dotted(data.target);
    case 'MX':
      return `${data.preference} ${dotted(data.exchange)}`;
    case 'SRV':
      return `${data.priority} ${data.weight} ${data.port} ${dotted(data.target)}`;
    case 'TXT':
      return data.strings.map(quoted).join(' ');
    case 'SOA': {
      const { serial, refresh, retry, expire, minimum } = data;
      return `${dotted(data.mname)} ${dotted(data.rname)} ${serial} ${refresh} ${retry} ${expire} ${minimum}`;
    }
    case 'other': {
      const hex = [...data.bytes].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join('');
      return `\\# ${data.bytes.length}${hex === '' ? '' : ` ${hex}`}`;
    }
  }
}

function quoted(text: string): string {
  const escaped = text.replace(/["\\]|[^\x20-\x7e]/g, (char) =>
    char === '"' || char === '\\' ? `\\${char}` : `\\${String(char.charCodeAt(0)).padStart(3, '0')}`,
  );
  return `"${escaped}"`;
}

const TAB = 8;

/** Moves on to a column by tabs, or by a blank where it is passed already. */
function toColumn(text: string, column: number): string {
  if (text.length >= column) return `${text} `;
  return text + '\t'.repeat(Math.ceil((column - text.length) / TAB));
}

/** A record in dig's columns. */
export function recordLine({ name, ttl, class: cls, data }: ResourceRecord): string {
  const type = typeName(typeCode(data));
  return `${toColumn(dotted(name), 24)}${ttl}\t${className(cls)}\t${type}\t${dataText(data)}`;
}

export function questionLine({ name, class: cls, type }: DnsQuestion): string {
  return `${toColumn(`;${dotted(name)}`, 32)}${className(cls)}\t${typeName(type)}`;
}

function className(cls: number): string {
  return cls === 1 ? 'IN' : cls === 3 ? 'CH' : cls === 255 ? 'ANY' : `CLASS${cls}`;
}
