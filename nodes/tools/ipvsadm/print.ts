import { formatIp4 } from '../../../protocols/ip4.ts';
import { PROTO_TCP } from '../../../protocols/ipv4.ts';
import { serviceName } from '../../../protocols/services.ts';
import type { Connection } from '../../kernel/netfilter/ipvs/connection.ts';
import { connectionName } from '../../kernel/netfilter/ipvs/connection.ts';
import type { Destination, Service } from '../../kernel/netfilter/ipvs/service.ts';
import type { IpvsStats } from '../../kernel/netfilter/ipvs/stats.ts';

export type ListKind = 'plain' | 'rule' | 'stats' | 'rate' | 'thresholds' | 'persistent-conn';

/** How a list is to look. */
export interface ListFormat {
  readonly kind: ListKind;
  readonly numeric: boolean;
  readonly exact: boolean;
  readonly sorted: boolean;
  /** Now, ms at the node. */
  readonly now: number;
}

/** `print_title` */
export function title({ kind }: ListFormat): string {
  const left = 'Prot LocalAddress:Port'.padEnd(33);
  const under = '  -> RemoteAddress:Port';
  const right = (names: readonly string[]) => names.map((name) => ` ${name.padStart(8)}`).join('');
  switch (kind) {
    case 'rule':
      return '';
    case 'stats':
      return `${left}${right(['Conns', 'InPkts', 'OutPkts', 'InBytes', 'OutBytes'])}\n${under}\n`;
    case 'rate':
      return `${left}${right(['CPS', 'InPPS', 'OutPPS', 'InBPS', 'OutBPS'])}\n${under}\n`;
    case 'thresholds':
      return `${left} ${pad('Uthreshold', 10)} ${pad('Lthreshold', 10)} ${pad('ActiveConn', 10)} ${pad('InActConn', 10)}\n${under}\n`;
    case 'persistent-conn':
      return `${left} ${pad('Weight', 9)} ${pad('PersistConn', 11)} ${pad('ActiveConn', 10)} ${pad('InActConn', 10)}\n${under}\n`;
    case 'plain':
      return `Prot LocalAddress:Port Scheduler Flags\n${under}           Forward Weight ActiveConn InActConn\n`;
  }
}

/** A service and its destinations (`print_service_entry`). */
export function serviceEntry(service: Service, format: ListFormat): string {
  const { kind } = format;
  const name = nameOf(service, format);
  let text: string;
  if (kind === 'rule') text = `-A ${name} -s ${service.spec.scheduler}${flagsOf(service, 'rule')}`;
  else if (kind === 'stats' || kind === 'rate')
    text = `${name.padEnd(33)}${figures(service.stats, format)
      .map((value) => large(value, format.exact))
      .join('')}`;
  else text = `${name} ${service.spec.scheduler}${flagsOf(service, 'list')}`;
  const destinations = [...service.destinations];
  if (format.sorted) destinations.sort((a, b) => a.addr - b.addr || a.port - b.port);
  return `${text}\n${destinations.map((each) => destinationEntry(name, service, each, format)).join('')}`;
}

function nameOf({ key }: Service, { kind, numeric }: ListFormat): string {
  if ('fwmark' in key) return kind === 'rule' ? `-f ${key.fwmark}` : `FWM  ${key.fwmark}`;
  const tcp = key.proto === PROTO_TCP;
  const place = addressText(key.addr, key.port, tcp ? 'tcp' : 'udp', numeric);
  if (kind === 'rule') return `${tcp ? '-t' : '-u'} ${place}`;
  return `${(tcp ? 'TCP' : 'UDP').padEnd(4)} ${place}`.slice(0, 33);
}

function flagsOf({ spec }: Service, style: 'rule' | 'list'): string {
  const { persistent, netmask, onePacket, shFallback, shPort } = spec;
  const flags = [...(shFallback ? ['sh-fallback'] : []), ...(shPort ? ['sh-port'] : [])].join();
  const mask = netmask === 0xffffffff ? '' : formatIp4(netmask);
  if (style === 'rule')
    return (
      (persistent === null ? '' : ` -p ${persistent}${mask === '' ? '' : ` -M ${mask}`}`) +
      (onePacket ? ' -o' : '') +
      (flags === '' ? '' : ` -b ${flags}`)
    );
  return (
    (flags === '' ? '' : ` (${flags})`) +
    (persistent === null ? '' : ` persistent ${persistent}${mask === '' ? '' : ` mask ${mask}`}`) +
    (onePacket ? ' ops' : '')
  );
}

const SWITCHES = { Masq: '-m', Tunnel: '-i', Route: '-g' } as const;

function destinationEntry(name: string, service: Service, each: Destination, format: ListFormat): string {
  const { kind, numeric, exact } = format;
  const { key } = service;
  const proto = 'proto' in key && key.proto !== PROTO_TCP ? 'udp' : 'tcp';
  // Marks are of no protocol that names of ports would be of (`port_to_service`).
  const place = addressText(each.addr, each.port, proto, numeric || 'fwmark' in key);
  if (kind === 'rule') {
    const tunnel = each.forward === 'Tunnel' ? ' --tun-type ipip' : '';
    return `-a ${name} -r ${place} ${SWITCHES[each.forward]} -w ${each.weight}${tunnel}\n`;
  }
  const left = `  -> ${place.slice(0, 28).padEnd(28)}`;
  const { weight, upper, lower, active, inactive, persistent } = each;
  switch (kind) {
    case 'stats':
      return `${left}${figures(each.stats, format)
        .map((value) => large(value, exact))
        .join('')}\n`;
    case 'rate': {
      const [cps, inpps, outpps, inbps, outbps] = figures(each.stats, format);
      const short = [cps, inpps, outpps].map((value) => ` ${String(value).padStart(8)}`).join('');
      return `${left}${short}${large(inbps ?? 0, exact)}${large(outbps ?? 0, exact)}\n`;
    }
    case 'thresholds':
      return `${left} ${pad(upper, 10)} ${pad(lower, 10)} ${pad(active, 10)} ${pad(inactive, 10)}\n`;
    case 'persistent-conn':
      return `${left} ${pad(weight, 9)} ${pad(persistent, 11)} ${pad(active, 10)} ${pad(inactive, 10)}\n`;
    case 'plain':
      return `${left} ${pad(each.forward, 7)} ${pad(weight, 6)} ${pad(active, 10)} ${pad(inactive, 10)}\n`;
  }
}

function figures(stats: IpvsStats, { kind, now }: ListFormat): number[] {
  if (kind === 'stats') return [stats.conns, stats.inpkts, stats.outpkts, stats.inbytes, stats.outbytes];
  const { cps, inpps, outpps, inbps, outbps } = stats.rates(now);
  return [cps, inpps, outpps, inbps, outbps];
}

/** `print_largenum` */
function large(value: number, exact: boolean): string {
  if (exact) return ` ${String(value).padStart(8)}`;
  if (value < 1e8) return String(value).padStart(9);
  const [by, unit] =
    value < 1e9 ? [1e3, 'K'] : value < 1e11 ? [1e6, 'M'] : value < 1e14 ? [1e9, 'G'] : [1e12, 'T'];
  return `${String(Math.floor(value / (by as number))).padStart(8)}${unit}`;
}

function addressText(addr: number, port: number, proto: 'tcp' | 'udp', numeric: boolean): string {
  return `${formatIp4(addr)}:${numeric ? port : (serviceName(port, proto) ?? port)}`;
}

function pad(value: number | string, width: number): string {
  return String(value).padEnd(width);
}

/** `list_conn`, of /proc/net/ip_vs_conn */
export function connectionEntries(connections: readonly Connection[], format: ListFormat): string {
  const persistent = format.kind === 'persistent-conn';
  const head = `pro expire ${pad('state', 11)} ${pad('source', 18)} ${pad('virtual', 18)}`;
  const names = persistent ? ` ${pad('destination', 18)} ${pad('pe name', 16)} pe_data\n` : ' destination\n';
  return `IPVS connection entries\n${head}${names}${connections.map((each) => connectionEntry(each, format)).join('')}`;
}

function connectionEntry(connection: Connection, { now, numeric }: ListFormat): string {
  const { caddr, cport, vaddr, vport, daddr, dport, state, expires } = connection;
  const { protocol } = connectionName(connection);
  const proto = protocol === 'UDP' ? 'udp' : 'tcp';
  const seconds = Math.floor(Math.max(expires - now, 0) / 1_000);
  const two = (value: number) => String(value).padStart(2, '0');
  const expire = `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
  const [client, virtual, destination] = [
    addressText(caddr, cport, proto, numeric),
    addressText(vaddr, vport, proto, numeric),
    addressText(daddr, dport, proto, numeric),
  ];
  return `${pad(protocol, 3)} ${pad(expire, 6)} ${pad(state, 11)} ${pad(client, 18)} ${pad(virtual, 18)} ${destination}\n`;
}
