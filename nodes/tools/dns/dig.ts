import type { DnsAnswer } from '../../../protocols/dns/exchange.ts';
import {
  type DnsMessage,
  query,
  RCODE,
  type ResourceRecord,
  rcodeName,
} from '../../../protocols/dns/message.ts';
import { type LookupFamily, searchNames } from '../../../protocols/dns/resolver.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { formatIp6, mapIp4 } from '../../../protocols/ip6.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  type ToolOutput,
} from '../tool.ts';
import { ask, resolvConfOf, serverAddresses } from './ask.ts';
import { type DigOptions, parseDigOptions } from './dig-options.ts';
import { dataText, questionLine, recordLine } from './text.ts';

/** dig(1) of BIND 9.18, one query. */
export const dig: Tool = endingOnError((args, ctx, out) => new Dig(ctx, out, parseDigOptions(args), args));

class Dig implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: DigOptions;
  readonly #banner: string;
  #running: { cancel(): void };
  #ended = false;
  #startedAt: number;

  constructor(ctx: ToolContext, out: ToolOutput, options: DigOptions, args: readonly string[]) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#startedAt = ctx.rt.now;
    const found = options.server === '' ? '' : '; (1 server found)\n';
    this.#banner = `\n; <<>> DiG 9.18.49 <<>> ${args.join(' ')}\n${found};; global options: +cmd\n`;
    const conf = resolvConfOf(ctx);
    const { name, server, on } = options;
    const names = on.has('search') ? searchNames(name, conf) : [name.replace(/(?<!\\)\.$/, '')];
    this.#running = { cancel: () => {} };
    if (server === '')
      this.#ask(
        names,
        conf.nameservers.filter((text) => isOf(text, options.family)),
      );
    else this.#named(server, names);
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #named(server: string, names: readonly string[]): void {
    const { family } = this.#options;
    const inet = family === 'ipv6' ? parseIp4(server) : null;
    if (inet !== null) {
      // It is taken for a mapped one, and those are not asked.
      this.#out.stdout(
        `;; Skipping mapped address '${formatIp6(mapIp4(inet))}'\n;; No acceptable nameservers\n`,
      );
      this.#exit(0);
      return;
    }
    this.#running = serverAddresses(this.#ctx, server, family, (found) => {
      if (this.#ended) return;
      if (found.ok) this.#ask(names, found.addresses);
      else {
        this.#out.stderr(`dig: couldn't get address for '${server}': ${found.problem}\n`);
        this.#exit(1);
      }
    });
  }

  #ask(names: readonly string[], servers: readonly string[]): void {
    const [name = '', ...others] = names;
    const { type, on, timeout, tries, udpSize } = this.#options;
    const edns =
      on.has('edns') || on.has('dnssec')
        ? { udpSize, version: 0, dnssecOk: on.has('dnssec'), options: [] }
        : null;
    const question = {
      ...query(0, name, type, edns),
      recursionDesired: on.has('recurse'),
      authenticData: true,
    };
    this.#startedAt = this.#ctx.rt.now;
    const how = { servers, timeout, tries, transport: on.has('tcp') ? ('tcp' as const) : ('udp' as const) };
    this.#running = ask(
      this.#ctx,
      question,
      how,
      (line) => this.#out.stdout(line),
      (answer) => {
        if (this.#ended) return;
        if (answer === null) {
          this.#out.stdout(`${this.#banner};; no servers could be reached\n`);
          this.#exit(9);
        } else if (answer.message.rcode === RCODE.NXDOMAIN && others.length > 0) this.#ask(others, servers);
        else {
          this.#print(answer);
          this.#exit(0);
        }
      },
    );
  }

  #print({ message, server, by, size }: DnsAnswer): void {
    const { on } = this.#options;
    if (on.has('short')) {
      for (const { data } of message.answers) this.#out.stdout(`${dataText(data)}\n`);
      return;
    }
    let text = on.has('cmd') ? this.#banner : '';
    if (on.has('comments')) text += headerText(message);
    if (on.has('question'))
      text += section('QUESTION', message.questions.map(questionLine), on.has('comments'));
    const sections: readonly (readonly ['answer' | 'authority' | 'additional', readonly ResourceRecord[]])[] =
      [
        ['answer', message.answers],
        ['authority', message.authorities],
        ['additional', message.additionals],
      ];
    for (const [name, records] of sections)
      if (on.has(name) && records.length > 0)
        text += section(name.toUpperCase(), records.map(recordLine), on.has('comments'));
    if (on.has('stats')) {
      const took = Math.round(this.#ctx.rt.now - this.#startedAt);
      text += `;; Query time: ${took} msec\n;; SERVER: ${server}#53(${server}) (${by.toUpperCase()})\n`;
      text += `;; WHEN: ${when(this.#ctx.rt.now)}\n;; MSG SIZE  rcvd: ${size}\n\n`;
    }
    this.#out.stdout(text);
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#running.cancel();
    this.#out.exit(code);
  }
}

/** Whether a server may be asked by `-4` or `-6`. */
function isOf(server: string, family: LookupFamily): boolean {
  return family === 'any' || server.includes(':') === (family === 'ipv6');
}

function section(name: string, lines: readonly string[], titled: boolean): string {
  const body = lines.map((line) => `${line}\n`).join('');
  return titled ? `;; ${name} SECTION:\n${body}\n` : body;
}

function headerText(message: DnsMessage): string {
  const { questions, answers, authorities, additionals, edns } = message;
  const flags = [
    message.kind === 'response' ? ' qr' : '',
    message.authoritative ? ' aa' : '',
    message.truncated ? ' tc' : '',
    message.recursionDesired ? ' rd' : '',
    message.recursionAvailable ? ' ra' : '',
    message.authenticData ? ' ad' : '',
    message.checkingDisabled ? ' cd' : '',
  ].join('');
  const additional = additionals.length + (edns === null ? 0 : 1);
  const unavailable =
    message.recursionDesired && !message.recursionAvailable
      ? ';; WARNING: recursion requested but not available\n'
      : '';
  const opt =
    edns === null
      ? ''
      : `;; OPT PSEUDOSECTION:\n; EDNS: version: ${edns.version}, flags:${edns.dnssecOk ? ' do' : ''}; udp: ${edns.udpSize}\n`;
  return `;; Got answer:
;; ->>HEADER<<- opcode: ${message.opcode === 0 ? 'QUERY' : `RESERVED${message.opcode}`}, status: ${rcodeName(message.rcode)}, id: ${message.id}
;; flags:${flags}; QUERY: ${questions.length}, ANSWER: ${answers.length}, AUTHORITY: ${authorities.length}, ADDITIONAL: ${additional}
${unavailable}
${opt}`;
}

/** `Sat Nov 28 16:40:40 UTC 2026` */
function when(ms: number): string {
  const [, day, date, month, year, time] =
    /^(\w+), (\d+) (\w+) (\d+) ([\d:]+) GMT$/.exec(new Date(ms).toUTCString()) ?? [];
  return `${day} ${month} ${date} ${time} UTC ${year}`;
}
