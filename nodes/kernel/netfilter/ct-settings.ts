import type { SysctlDirectory, SysctlSpec, SysctlValue } from '../sysctl.ts';

/** Sysctls of `net.netfilter` that conntrack goes by; timeouts are seconds, as there. */
export type ConntrackSettings = {
  nf_conntrack_max: number;
  /** Whether checksums are verified at PREROUTING. */
  nf_conntrack_checksum: number;
  /** Whether packets and bytes of flows are counted, from their beginning on. */
  nf_conntrack_acct: number;
  nf_conntrack_generic_timeout: number;
  nf_conntrack_icmp_timeout: number;
  nf_conntrack_icmpv6_timeout: number;
  nf_conntrack_udp_timeout: number;
  nf_conntrack_udp_timeout_stream: number;
  nf_conntrack_sctp_timeout_closed: number;
  nf_conntrack_sctp_timeout_cookie_wait: number;
  nf_conntrack_sctp_timeout_cookie_echoed: number;
  nf_conntrack_sctp_timeout_established: number;
  nf_conntrack_sctp_timeout_shutdown_sent: number;
  nf_conntrack_sctp_timeout_shutdown_recd: number;
  nf_conntrack_sctp_timeout_shutdown_ack_sent: number;
  nf_conntrack_sctp_timeout_heartbeat_sent: number;
  /** A segment out of the window is let pass as the flow's. */
  nf_conntrack_tcp_be_liberal: number;
  nf_conntrack_tcp_ignore_invalid_rst: number;
  /** Connections are taken up whose beginning was not seen. */
  nf_conntrack_tcp_loose: number;
  nf_conntrack_tcp_max_retrans: number;
  nf_conntrack_tcp_timeout_syn_sent: number;
  nf_conntrack_tcp_timeout_syn_recv: number;
  nf_conntrack_tcp_timeout_established: number;
  nf_conntrack_tcp_timeout_fin_wait: number;
  nf_conntrack_tcp_timeout_close_wait: number;
  nf_conntrack_tcp_timeout_last_ack: number;
  nf_conntrack_tcp_timeout_time_wait: number;
  nf_conntrack_tcp_timeout_close: number;
  nf_conntrack_tcp_timeout_max_retrans: number;
  nf_conntrack_tcp_timeout_unacknowledged: number;
};

/** What Linux starts with (`nf_conntrack_max`: that of a machine with more than 4 GiB). */
export function defaultConntrackSettings(): ConntrackSettings {
  return {
    nf_conntrack_max: 262_144,
    nf_conntrack_checksum: 1,
    nf_conntrack_acct: 0,
    nf_conntrack_generic_timeout: 600,
    nf_conntrack_icmp_timeout: 30,
    nf_conntrack_icmpv6_timeout: 30,
    nf_conntrack_udp_timeout: 30,
    nf_conntrack_udp_timeout_stream: 120,
    nf_conntrack_sctp_timeout_closed: 10,
    nf_conntrack_sctp_timeout_cookie_wait: 3,
    nf_conntrack_sctp_timeout_cookie_echoed: 3,
    nf_conntrack_sctp_timeout_established: 210,
    nf_conntrack_sctp_timeout_shutdown_sent: 3,
    nf_conntrack_sctp_timeout_shutdown_recd: 3,
    nf_conntrack_sctp_timeout_shutdown_ack_sent: 3,
    nf_conntrack_sctp_timeout_heartbeat_sent: 30,
    nf_conntrack_tcp_be_liberal: 0,
    nf_conntrack_tcp_ignore_invalid_rst: 0,
    nf_conntrack_tcp_loose: 1,
    nf_conntrack_tcp_max_retrans: 3,
    nf_conntrack_tcp_timeout_syn_sent: 120,
    nf_conntrack_tcp_timeout_syn_recv: 60,
    nf_conntrack_tcp_timeout_established: 432_000,
    nf_conntrack_tcp_timeout_fin_wait: 120,
    nf_conntrack_tcp_timeout_close_wait: 60,
    nf_conntrack_tcp_timeout_last_ack: 30,
    nf_conntrack_tcp_timeout_time_wait: 120,
    nf_conntrack_tcp_timeout_close: 10,
    nf_conntrack_tcp_timeout_max_retrans: 300,
    nf_conntrack_tcp_timeout_unacknowledged: 300,
  };
}

/** Settings that are no more than on and off. */
const FLAGS: ReadonlySet<string> = new Set<keyof ConntrackSettings>([
  'nf_conntrack_checksum',
  'nf_conntrack_acct',
  'nf_conntrack_tcp_be_liberal',
  'nf_conntrack_tcp_ignore_invalid_rst',
  'nf_conntrack_tcp_loose',
]);

const MAX_TIMEOUT = 0x7fff_ffff;

/** `net.netfilter` of a namespace; `nf_conntrack_count` is for reading. */
export function conntrackDirectory(settings: ConntrackSettings, count: () => number): SysctlDirectory {
  const names = Object.keys(settings);
  const values = Object.defineProperty<{ [name: string]: SysctlValue }>(settings, 'nf_conntrack_count', {
    get: count,
  });
  const specOf = (name: string): SysctlSpec => ({ min: 0, max: FLAGS.has(name) ? 1 : MAX_TIMEOUT });
  return {
    path: 'netfilter',
    variables: {
      nf_conntrack_count: { parse: () => null },
      ...Object.fromEntries(names.map((name) => [name, specOf(name)])),
    },
    values: () => values,
  };
}
