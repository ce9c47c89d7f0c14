/**
 * A domain name as text, without the final dot; '' is the root. A dot or backslash within a label is escaped by a backslash,
 * a byte that does not print as `\DDD`, decimal (RFC 1035 §5.1).
 */
export type DnsName = string;

/** Most bytes of a label, and of a name on the wire with its length bytes (RFC 1035 §2.3.4). */
export const MAX_LABEL = 63;
export const MAX_NAME = 255;

/** Labels of a name, each a string of its bytes' codes; a final dot is no label. Null if it is no name. */
export function parseName(text: string): string[] | null {
  if (text === '' || text === '.') return [];
  const labels: string[] = [];
  let label = '';
  let length = 1;
  const end = () => {
    labels.push(label);
    length += 1 + label.length;
    const fits = label.length > 0 && label.length <= MAX_LABEL && length <= MAX_NAME;
    label = '';
    return fits;
  };
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '.') {
      if (!end()) return null;
      if (i === text.length - 1) return labels;
      continue;
    }
    if (char !== '\\') {
      if (char.charCodeAt(0) > 0xff) return null;
      label += char;
      continue;
    }
    const digits = /^\d{3}/.exec(text.slice(i + 1, i + 4))?.[0];
    if (digits !== undefined) {
      if (Number(digits) > 0xff) return null;
      label += String.fromCharCode(Number(digits));
      i += 3;
      continue;
    }
    const escaped = text[++i];
    if (escaped === undefined || escaped.charCodeAt(0) > 0xff) return null;
    label += escaped;
  }
  return end() ? labels : null;
}

export function formatName(labels: readonly string[]): DnsName {
  return labels.map(formatLabel).join('.');
}

function formatLabel(label: string): string {
  let text = '';
  for (let i = 0; i < label.length; i++) {
    const code = label.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f) text += `\\${String(code).padStart(3, '0')}`;
    else text += /[.\\"();@$]/.test(label[i]!) ? `\\${label[i]}` : label[i];
  }
  return text;
}

/** The form in which names compare: ASCII letters in lower case (RFC 4343), no final dot. */
export function nameKey(name: DnsName): string {
  const bare = name.endsWith('.') && !/(^|[^\\])(\\\\)*\\\.$/.test(name) ? name.slice(0, -1) : name;
  return bare.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether a name is a zone's or below it. */
export function isWithin(name: DnsName, zone: DnsName): boolean {
  const [labels, apex] = [parseName(nameKey(name)), parseName(nameKey(zone))];
  if (labels === null || apex === null || labels.length < apex.length) return false;
  return apex.every((label, i) => label === labels[labels.length - apex.length + i]);
}
