import { decodeDns } from '../../../protocols/dns/decode.ts';
import { type DnsMessage, RCODE, typeCode, typeName } from '../../../protocols/dns/message.ts';
import { dataText } from '../dns/text.ts';

const RCODES = new Map<number, string>([
  [RCODE.FORMERR, ' FormErr'],
  [RCODE.SERVFAIL, ' ServFail'],
  [RCODE.NXDOMAIN, ' NXDomain'],
  [RCODE.NOTIMP, ' NotImp'],
  [RCODE.REFUSED, ' Refused'],
]);

/** What tcpdump prints of a DNS message (`domain_print`). */
export function dnsText(bytes: Uint8Array): string {
  const decoded = decodeDns(bytes);
  if (!decoded.ok) return `domain [length ${bytes.length}] (invalid)`;
  const { message } = decoded;
  return `${message.kind === 'query' ? queryText(message) : responseText(message)} (${bytes.length})`;
}

function queryText(message: DnsMessage): string {
  const { id, questions, answers, authorities } = message;
  const counts = [
    questions.length === 1 ? '' : ` [${questions.length}q]`,
    answers.length === 0 ? '' : ` [${answers.length}a]`,
    authorities.length === 0 ? '' : ` [${authorities.length}n]`,
    additionalCount(message) === 0 ? '' : ` [${additionalCount(message)}au]`,
  ].join('');
  const flags = `${message.recursionDesired ? '+' : ''}${message.checkingDisabled ? '%' : ''}`;
  const asked = questions.map(({ type, name }) => ` ${typeName(type)}? ${name}.`).join('');
  return `${id}${flags}${counts}${asked}`;
}

function responseText(message: DnsMessage): string {
  const { id, answers, authorities, rcode } = message;
  const flags = [
    message.authoritative ? '*' : '',
    message.recursionAvailable ? '' : '-',
    message.truncated ? '|' : '',
    message.authenticData ? '$' : '',
  ].join('');
  const records = answers.map(({ data }) => ` ${typeName(typeCode(data))} ${dataText(data)}`).join(',');
  return `${id}${RCODES.get(rcode) ?? ''}${flags} ${answers.length}/${authorities.length}/${additionalCount(message)}${records}`;
}

function additionalCount({ additionals, edns }: DnsMessage): number {
  return additionals.length + (edns === null ? 0 : 1);
}
