import { decodeDns } from './decode.ts';
import { encodeDns } from './encode.ts';
import { exchange } from './exchange.ts';
import { DNS_UDP_SIZE, type DnsMessage, type DnsQuestion, RCODE, type ResourceRecord } from './message.ts';
import { type DnsHost, DnsTcpReader } from './transport.ts';

/** Who asks. */
export interface DnsClient {
  readonly address: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
}

/** What a zone has to say to a question. */
export type ZoneAnswer =
  /** NOERROR; without answers it is NODATA: the name is there, records of this type are not. */
  | {
      readonly type: 'answer';
      readonly answers: readonly ResourceRecord[];
      readonly authorities?: readonly ResourceRecord[];
      readonly additionals?: readonly ResourceRecord[];
      readonly authority: 'authoritative' | 'cached';
    }
  /** NXDOMAIN and others; `authorities` holds the zone's SOA for negative caching (RFC 2308). */
  | {
      readonly type: 'rcode';
      readonly rcode: number;
      readonly authorities?: readonly ResourceRecord[];
      readonly authority: 'authoritative' | 'cached';
    }
  /** Ask these servers, one after the other, and pass on what they say; SERVFAIL if none can. */
  | { readonly type: 'forward'; readonly servers: readonly string[] }
  /** Stay silent: the client will wait in vain. */
  | { readonly type: 'silence' };

export interface DnsServerOptions {
  readonly host: DnsHost;
  /** Never called but with a standard query of one question. */
  zone(question: DnsQuestion, client: DnsClient): ZoneAnswer;
  /** RA of the answers. */
  readonly recursion: 'available' | 'unavailable';
  /** ms to wait for a server that is forwarded to, and how often they are gone through. */
  readonly forward?: { readonly timeout: number; readonly attempts: number };
}

/** Most bytes over UDP that the server says it takes, as DNS flag day 2020 has it. */
const EDNS_SIZE = 1232;
const FORWARD = { timeout: 4000, attempts: 1 };

/** A DNS server without sockets of its own: requests come in with a way to reply, which is used once or never. */
export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #forwarding = new Set<{ cancel(): void }>();

  constructor(options: DnsServerOptions) {
    this.#options = options;
  }

  /** A datagram, or a message from a TCP stream without its length. `reply` gets the bytes in the same form. */
  receive(bytes: Uint8Array, client: DnsClient, reply: (bytes: Uint8Array) => void): void {
    const decoded = decodeDns(bytes);
    if (!decoded.ok) {
      // A broken answer must not be answered, or two servers could go on for ever.
      const isQuery = bytes.length >= 3 && (bytes[2]! & 0x80) === 0;
      if (decoded.id !== null && isQuery) reply(encodeDns(broken(decoded.id), DNS_UDP_SIZE));
      return;
    }
    const request = decoded.message;
    if (request.kind !== 'query') return;
    const limit = client.transport === 'tcp' ? undefined : udpLimit(request);
    const send = (response: DnsMessage) => reply(encodeDns(response, limit));
    const [question] = request.questions;
    if (request.edns !== null && request.edns.version > 0) send(this.#response(request, RCODE.BADVERS));
    else if (request.opcode !== 0) send(this.#response(request, RCODE.NOTIMP));
    else if (question === undefined || request.questions.length > 1)
      send(this.#response(request, RCODE.FORMERR));
    else this.#answer(request, question, client, send);
  }

  /** A connection's stream: gives back what is to be called with its bytes. Replies come framed. */
  stream(
    client: Omit<DnsClient, 'transport'>,
    reply: (bytes: Uint8Array) => void,
  ): (bytes: Uint8Array) => void {
    const framed = (bytes: Uint8Array) => {
      const out = new Uint8Array(2 + bytes.length);
      out[0] = bytes.length >>> 8;
      out[1] = bytes.length;
      out.set(bytes, 2);
      reply(out);
    };
    const reader = new DnsTcpReader((bytes) => this.receive(bytes, { ...client, transport: 'tcp' }, framed));
    return (bytes) => reader.receive(bytes);
  }

  /** Stops; what is being forwarded gets no answer. */
  close(): void {
    for (const running of this.#forwarding) running.cancel();
    this.#forwarding.clear();
  }

  #answer(
    request: DnsMessage,
    question: DnsQuestion,
    client: DnsClient,
    send: (response: DnsMessage) => void,
  ): void {
    const answer = this.#options.zone(question, client);
    switch (answer.type) {
      case 'answer':
        send({
          ...this.#response(request, RCODE.NOERROR),
          authoritative: answer.authority === 'authoritative',
          answers: answer.answers,
          authorities: answer.authorities ?? [],
          additionals: answer.additionals ?? [],
        });
        return;
      case 'rcode':
        send({
          ...this.#response(request, answer.rcode),
          authoritative: answer.authority === 'authoritative',
          authorities: answer.authorities ?? [],
        });
        return;
      case 'forward':
        this.#forward(request, answer.servers, send);
        return;
      case 'silence':
    }
  }

  #forward(request: DnsMessage, servers: readonly string[], send: (response: DnsMessage) => void): void {
    const { host, forward = FORWARD } = this.#options;
    const running = exchange(host, [request], { servers, ...forward }, ([result]) => {
      this.#forwarding.delete(running);
      const message = (result?.type === 'failed' ? result.answer?.message : result?.message) ?? null;
      if (message === null) {
        send(this.#response(request, RCODE.SERVFAIL));
        return;
      }
      const edns = request.edns === null ? null : message.edns;
      send({ ...message, id: request.id, questions: request.questions, edns });
    });
    this.#forwarding.add(running);
  }

  #response(request: DnsMessage, rcode: number): DnsMessage {
    return {
      ...request,
      kind: 'response',
      authoritative: false,
      truncated: false,
      recursionAvailable: this.#options.recursion === 'available',
      authenticData: false,
      rcode,
      answers: [],
      authorities: [],
      additionals: [],
      edns:
        request.edns === null
          ? null
          : { udpSize: EDNS_SIZE, version: 0, dnssecOk: request.edns.dnssecOk, options: [] },
    };
  }
}

function udpLimit({ edns }: DnsMessage): number {
  return Math.max(DNS_UDP_SIZE, Math.min(edns?.udpSize ?? DNS_UDP_SIZE, EDNS_SIZE));
}

function broken(id: number): DnsMessage {
  return {
    id,
    kind: 'response',
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: false,
    recursionAvailable: false,
    authenticData: false,
    checkingDisabled: false,
    rcode: RCODE.FORMERR,
    questions: [],
    answers: [],
    authorities: [],
    additionals: [],
    edns: null,
  };
}
