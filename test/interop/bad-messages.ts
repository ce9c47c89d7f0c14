import { MessageType, message, open, type Place, RawPeer, typeOf } from './raw-peer.ts';

/** What a speaker makes of a message: NOTIFICATION code and subcode, a close without a word, a session that goes on, or its end. */
export type Outcome = `${number}/${number}` | 'closed' | 'goes on' | 'crashes';

export interface BadMessage {
  readonly name: string;
  /** How far the session is when it comes: after our TCP connection, after the OPENs, after the KEEPALIVEs. */
  readonly when: 'OpenSent' | 'OpenConfirm' | 'Established';
  readonly bytes: (asn: number) => Buffer;
  /** RFC 4271 §6, RFC 6608, RFC 7313, RFC 7606. */
  readonly outcome: Outcome;
}

const ORIGIN = Buffer.of(0x40, 1, 1, 0);
const NEXT_HOP = Buffer.of(0x40, 3, 4, 192, 0, 2, 1);
const PREFIX = Buffer.of(24, 198, 51, 100);

function asPath(asn: number): Buffer {
  return Buffer.of(0x40, 2, 6, 2, 1, 0, 0, asn >> 8, asn & 0xff);
}

function update(attributes: readonly Buffer[], nlri: Buffer, claimed?: number): Buffer {
  const bytes = Buffer.concat(attributes);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(claimed ?? bytes.length);
  return message(MessageType.update, Buffer.concat([Buffer.of(0, 0), length, bytes, nlri]));
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}

const KEEPALIVE = message(MessageType.keepalive);

export const BAD_MESSAGES: readonly BadMessage[] = [
  {
    name: 'a marker that is not all ones',
    when: 'OpenSent',
    bytes: (asn) => withByte(open(asn), 3, 0),
    outcome: '1/1',
  },
  {
    name: 'a length of 18',
    when: 'OpenSent',
    bytes: (asn) => withByte(open(asn), 17, 18),
    outcome: '1/2',
  },
  {
    name: 'a KEEPALIVE of 20 bytes',
    when: 'OpenConfirm',
    bytes: () => message(MessageType.keepalive, Buffer.of(0)),
    outcome: '1/2',
  },
  { name: 'a message of type 99', when: 'OpenSent', bytes: () => message(99), outcome: '1/3' },
  {
    name: 'an OPEN of version 3',
    when: 'OpenSent',
    bytes: (asn) => open(asn, { version: 3 }),
    outcome: '2/1',
  },
  {
    name: 'an OPEN of another AS',
    when: 'OpenSent',
    bytes: (asn) => open(asn, { asn: 64_999 }),
    outcome: '2/2',
  },
  {
    name: 'an OPEN with identifier 0.0.0.0',
    when: 'OpenSent',
    bytes: (asn) => open(asn, { identifier: [0, 0, 0, 0] }),
    outcome: '2/3',
  },
  {
    name: 'an OPEN with parameter 99',
    when: 'OpenSent',
    bytes: (asn) => open(asn, { parameters: Buffer.of(99, 1, 0) }),
    outcome: '2/4',
  },
  {
    name: 'an OPEN with a hold time of 1 s',
    when: 'OpenSent',
    bytes: (asn) => open(asn, { holdTime: 1 }),
    outcome: '2/6',
  },
  { name: 'a KEEPALIVE in the place of the OPEN', when: 'OpenSent', bytes: () => KEEPALIVE, outcome: '5/1' },
  {
    name: 'an UPDATE in the place of the KEEPALIVE',
    when: 'OpenConfirm',
    bytes: (asn) => update([ORIGIN, asPath(asn), NEXT_HOP], PREFIX),
    outcome: '5/2',
  },
  {
    name: 'a second OPEN',
    when: 'Established',
    bytes: (asn) => open(asn),
    outcome: '5/3',
  },
  {
    name: 'an UPDATE whose attributes are longer than itself',
    when: 'Established',
    bytes: (asn) => update([ORIGIN, asPath(asn), NEXT_HOP], PREFIX, 200),
    outcome: '3/1',
  },
  {
    name: 'an UPDATE with a prefix of 33 bits',
    when: 'Established',
    bytes: (asn) => update([ORIGIN, asPath(asn), NEXT_HOP], Buffer.of(33, 198, 51, 100, 0, 0)),
    outcome: '3/10',
  },
  {
    name: 'an UPDATE with ORIGIN 7',
    when: 'Established',
    bytes: (asn) => update([Buffer.of(0x40, 1, 1, 7), asPath(asn), NEXT_HOP], PREFIX),
    outcome: 'goes on',
  },
  {
    name: 'an UPDATE without NEXT_HOP',
    when: 'Established',
    bytes: (asn) => update([ORIGIN, asPath(asn)], PREFIX),
    outcome: 'goes on',
  },
  {
    name: 'an UPDATE with MED of 3 bytes',
    when: 'Established',
    bytes: (asn) => update([ORIGIN, asPath(asn), NEXT_HOP, Buffer.of(0x80, 4, 3, 0, 0, 1)], PREFIX),
    outcome: 'goes on',
  },
];

/** Brings a session so far, sends it a bad message, and tells what comes of it. */
export async function provoke(place: Place, asn: number, { when, bytes }: BadMessage): Promise<Outcome> {
  const peer = await RawPeer.meet(place);
  try {
    if (when !== 'OpenSent') {
      peer.send(open(asn));
      await firstOf(peer, MessageType.keepalive);
    }
    // One KEEPALIVE is the answer to the OPEN, the next ones show that the session is up.
    if (when === 'Established') peer.send(KEEPALIVE);
    peer.send(bytes(asn));
    // A session that lives on speaks of itself: its KEEPALIVE is due, or routes are.
    for (let keepalives = 0; ; ) {
      const answer = await peer.next();
      if (answer === null) return 'closed';
      const type = typeOf(answer);
      if (type === MessageType.notification) return `${answer[19] ?? 0}/${answer[20] ?? 0}`;
      if (type === MessageType.keepalive && ++keepalives === 2) return 'goes on';
      if (type === MessageType.keepalive) peer.send(KEEPALIVE);
    }
  } finally {
    peer.close();
  }
}

async function firstOf(peer: RawPeer, type: number): Promise<void> {
  for (;;) {
    const answer = await peer.next();
    if (answer === null) throw new Error('the session has ended before it was told anything bad');
    if (typeOf(answer) === MessageType.notification) {
      throw new Error(`the session has ended before it was told anything bad: ${answer.toString('hex', 19)}`);
    }
    if (typeOf(answer) === type) return;
  }
}
