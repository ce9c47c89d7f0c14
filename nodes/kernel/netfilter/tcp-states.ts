/** States of a tracked connection (`enum tcp_conntrack`), in Linux' order. */
export const TCP_STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
] as const;

export type TcpCtState = (typeof TCP_STATES)[number];

export const NONE = 0;
export const SYN_SENT = 1;
export const SYN_RECV = 2;
export const ESTABLISHED = 3;
export const FIN_WAIT = 4;
export const CLOSE_WAIT = 5;
export const LAST_ACK = 6;
export const TIME_WAIT = 7;
export const CLOSE = 8;
/** A SYN of the other end too: both have opened at once. */
export const SYN_SENT2 = 9;
/** The segment cannot be of this connection. */
export const INVALID = 10;
/** The segment may be of the connection or not; its receiver will tell. */
export const IGNORE = 11;

/** What counts of a segment's flags (`enum tcp_bit_set`). */
export const ON_SYN = 0;
export const ON_SYNACK = 1;
export const ON_FIN = 2;
export const ON_ACK = 3;
export const ON_RST = 4;
const ON_NONE = 5;

const LETTERS: Readonly<Record<string, number>> = {
  NO: NONE,
  SS: SYN_SENT,
  SR: SYN_RECV,
  ES: ESTABLISHED,
  FW: FIN_WAIT,
  CW: CLOSE_WAIT,
  LA: LAST_ACK,
  TW: TIME_WAIT,
  CL: CLOSE,
  S2: SYN_SENT2,
  IV: INVALID,
  IG: IGNORE,
};

/**
 * Where a segment takes a connection (`tcp_conntracks` of nf_conntrack_proto_tcp.c), by direction and flags; a row has a
 * word for each state that it may be in: NO SS SR ES FW CW LA TW CL S2.
 */
const TRANSITIONS: readonly (readonly string[])[] = [
  [
    'SS SS IG IG IG IG IG SS SS S2', // SYN
    'IV IV SR IV IV IV IV IV IV SR', // SYN+ACK
    'IV IV FW FW LA LA LA TW CL IV', // FIN
    'ES IV ES ES CW CW TW TW CL IV', // ACK
    'IV CL CL CL CL CL CL CL CL CL', // RST
    'IV IV IV IV IV IV IV IV IV IV', // none of these
  ],
  [
    'IV S2 IV IV IV IV IV SS IV S2',
    'IV SR IG IG IG IG IG IG IG SR',
    'IV IV FW FW LA LA LA TW CL IV',
    'IV IG SR ES CW CW TW TW CL IG',
    'IV CL CL CL CL CL CL CL CL CL',
    'IV IV IV IV IV IV IV IV IV IV',
  ],
];

const FLAG_SETS = 6;
const STATES = TCP_STATES.length;

const table = Uint8Array.from(
  TRANSITIONS.flatMap((rows) =>
    rows.flatMap((row) => row.split(' ').map((word) => LETTERS[word] ?? INVALID)),
  ),
);

/** The state after a segment; INVALID or IGNORE where it changes none. */
export function transition(direction: 0 | 1, flagSet: number, state: number): number {
  return table[(direction * FLAG_SETS + flagSet) * STATES + state]!;
}

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const URG = 32;

/** Which of the flags decides (`get_conntrack_index`). */
export function flagSetOf(flags: number): number {
  if ((flags & RST) !== 0) return ON_RST;
  if ((flags & SYN) !== 0) return (flags & ACK) !== 0 ? ON_SYNACK : ON_SYN;
  if ((flags & FIN) !== 0) return ON_FIN;
  return (flags & ACK) !== 0 ? ON_ACK : ON_NONE;
}

const VALID_FLAGS: ReadonlySet<number> = new Set([
  SYN,
  SYN | URG,
  SYN | ACK,
  RST,
  RST | ACK,
  FIN | ACK,
  FIN | ACK | URG,
  ACK,
  ACK | URG,
]);

/** Whether a TCP sends such a combination; PSH, ECE and CWR go with all (`tcp_valid_flags`). */
export function areValidFlags(flags: number): boolean {
  return VALID_FLAGS.has(flags & (FIN | SYN | RST | ACK | URG));
}
