import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { mapIp4 } from '../../../protocols/ip6.ts';
import type { IperfOptions } from './options.ts';

const LINE = '-'.repeat(60);

export function framed(lines: readonly string[]): string {
  return [LINE, ...lines, LINE, ''].join('\n');
}

/** The column heads of reports. */
export const HEAD = '[ ID] Interval       Transfer     Bandwidth\n';
export const UDP_HEAD = '[ ID] Interval       Transfer     Bandwidth        Jitter   Lost/Total Datagrams\n';

/** `[  1] 0.0000-10.0153 sec  1.25 MBytes  1.05 Mbits/sec`; times in ms. */
export function transferLine(
  from: number,
  to: number,
  bytes: number,
  format: IperfOptions['format'],
): string {
  const span = `${(from / 1000).toFixed(4)}-${(to / 1000).toFixed(4)}`;
  const rate = to > from ? (bytes * 8000) / (to - from) : 0;
  return `[  1] ${span} sec  ${byteText(bytes)}  ${rateText(rate, format)}`;
}

/** What UDP adds: jitter in ms, datagrams lost of all that were sent. */
export function lossText(jitter: number, lost: number, total: number): string {
  const share = total === 0 ? 0 : (lost / total) * 100;
  return `  ${jitter.toFixed(3).padStart(6)} ms ${lost}/${total} (${Number(share.toPrecision(2))}%)`;
}

/** Bytes by units of 1024. */
function byteText(bytes: number): string {
  const [value, unit] = scale(bytes, 1024, ['Bytes', 'KBytes', 'MBytes', 'GBytes']);
  return `${short(value)} ${unit}`;
}

/** bit/s by units of 1000, or bytes by 1024 where the format is a capital. */
function rateText(bits: number, format: IperfOptions['format']): string {
  if (format === 'a') {
    const [value, unit] = scale(bits, 1000, ['bits', 'Kbits', 'Mbits', 'Gbits']);
    return `${short(value)} ${unit}/sec`;
  }
  const power = ['k', 'm', 'g'].indexOf(format.toLowerCase()) + 1;
  const letter = format.toUpperCase();
  const inBytes = format === letter;
  const value = inBytes ? bits / 8 / 1024 ** power : bits / 1000 ** power;
  return `${short(value)} ${letter}${inBytes ? 'Bytes' : 'bits'}/sec`;
}

function scale(value: number, step: number, units: readonly string[]): [number, string] {
  let scaled = value;
  let unit = 0;
  for (; scaled >= step && unit < units.length - 1; unit++) scaled /= step;
  return [scaled, units[unit]!];
}

/** Three digits, as `%4.*f` with the digits that iperf takes. */
function short(value: number): string {
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits).padStart(4);
}

/** An address as a socket sees it; one of IPv6 sees those of IPv4 mapped. */
export function shownAs(addr: IpAddress, family: IperfOptions['family']): string {
  return formatIp(typeof addr === 'number' && family === 'ipv6' ? mapIp4(addr) : addr);
}
