/** States of a TCP connection (`enum ip_vs_tcp_states`). */
export const TCP_STATES = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
] as const;
export type TcpState = (typeof TCP_STATES)[number];

/** Seconds that a connection is kept for without packets, by its state (`tcp_timeouts`), and of UDP (`udp_timeouts`). */
export type IpvsTimeouts = Record<TcpState | 'UDP', number>;

export function defaultTimeouts(): IpvsTimeouts {
  return {
    NONE: 2,
    ESTABLISHED: 900,
    SYN_SENT: 120,
    SYN_RECV: 60,
    FIN_WAIT: 120,
    TIME_WAIT: 120,
    CLOSE: 10,
    CLOSE_WAIT: 60,
    LAST_ACK: 30,
    LISTEN: 120,
    SYNACK: 120,
    UDP: 300,
  };
}

/** Who sent a packet: the client, the server, or the client where the server's answers go past us. */
export type Way = 'input' | 'output' | 'input-only';

const S = {
  NO: 'NONE',
  ES: 'ESTABLISHED',
  SS: 'SYN_SENT',
  SR: 'SYN_RECV',
  FW: 'FIN_WAIT',
  TW: 'TIME_WAIT',
  CL: 'CLOSE',
  CW: 'CLOSE_WAIT',
  LA: 'LAST_ACK',
  LI: 'LISTEN',
  SA: 'SYNACK',
} as const;

function row(text: string): readonly TcpState[] {
  return text.split(' ').map((each) => S[each as keyof typeof S]);
}

/** `tcp_states` of ip_vs_proto_tcp.c: SYN, FIN, ACK and RST, in each state from NONE to SYNACK. */
const TABLE: Readonly<Record<Way, readonly (readonly TcpState[])[]>> = {
  input: [
    row('SR ES ES SR SR SR SR SR SR SR SR'),
    row('CL CW SS TW TW TW CL CW LA LI TW'),
    row('ES ES SS ES FW TW CL CW CL LI ES'),
    row('CL CL CL SR CL CL CL CL LA LI SR'),
  ],
  output: [
    row('SS ES SS SR SS SS SS SS SS LI SR'),
    row('TW FW SS TW FW TW CL TW LA LI TW'),
    row('ES ES SS ES FW TW CL CW LA ES ES'),
    row('CL CL SS CL CL TW CL CL CL CL CL'),
  ],
  'input-only': [
    row('SR ES ES SR SR SR SR SR SR SR SR'),
    row('CL FW SS TW FW TW CL CW LA LI TW'),
    row('ES ES SS ES FW TW CL CW CL LI ES'),
    row('CL CL CL SR CL CL CL CL LA LI CL'),
  ],
};

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

/** `tcp_state_active_table`: a connection counts as an active one from its first segment on, until either end closes. */
const ACTIVE: ReadonlySet<TcpState> = new Set(['ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'SYNACK']);

export function isActive(state: TcpState): boolean {
  return ACTIVE.has(state);
}

/** What a segment with certain flags makes of a state (`set_tcp_state`). */
export function nextTcpState(way: Way, state: TcpState, flags: number): TcpState {
  const event =
    (flags & RST) !== 0
      ? 3
      : (flags & SYN) !== 0
        ? 0
        : (flags & FIN) !== 0
          ? 1
          : (flags & ACK) !== 0
            ? 2
            : -1;
  return TABLE[way][event]?.[TCP_STATES.indexOf(state)] ?? 'CLOSE';
}
