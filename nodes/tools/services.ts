/** services(5), as far as it is known here: names of ports that mean the same over TCP and UDP, or are told of one alone. */
const SERVICES: readonly (readonly [name: string, port: number, protocols: 'both' | 'tcp' | 'udp'])[] = [
  ['echo', 7, 'both'],
  ['discard', 9, 'both'],
  ['daytime', 13, 'both'],
  ['ftp', 21, 'tcp'],
  ['ssh', 22, 'tcp'],
  ['telnet', 23, 'tcp'],
  ['smtp', 25, 'tcp'],
  ['domain', 53, 'both'],
  ['bootps', 67, 'udp'],
  ['bootpc', 68, 'udp'],
  ['tftp', 69, 'udp'],
  ['http', 80, 'tcp'],
  ['kerberos', 88, 'both'],
  ['pop3', 110, 'tcp'],
  ['ntp', 123, 'udp'],
  ['imap2', 143, 'tcp'],
  ['snmp', 161, 'both'],
  ['bgp', 179, 'tcp'],
  ['ldap', 389, 'both'],
  ['https', 443, 'both'],
  ['submission', 587, 'tcp'],
  ['ldaps', 636, 'both'],
  ['imaps', 993, 'tcp'],
  ['mysql', 3306, 'tcp'],
  ['postgresql', 5432, 'tcp'],
  ['amqp', 5672, 'tcp'],
  ['redis', 6379, 'tcp'],
  ['http-alt', 8080, 'both'],
];

/** Null: the port has no name. */
export function serviceName(port: number, protocol: 'tcp' | 'udp'): string | null {
  const is = ([, number, protocols]: (typeof SERVICES)[number]) =>
    number === port && (protocols === 'both' || protocols === protocol);
  return SERVICES.find(is)?.[0] ?? null;
}

/** Null: there is no such service. */
export function servicePort(name: string, protocol: 'tcp' | 'udp'): number | null {
  const is = ([text, , protocols]: (typeof SERVICES)[number]) =>
    text === name && (protocols === 'both' || protocols === protocol);
  return SERVICES.find(is)?.[1] ?? null;
}
