import { parseHostAddress, reverseName } from '../../../protocols/dns/address.ts';
import type { DnsAnswer } from '../../../protocols/dns/exchange.ts';
import {
  query,
  RCODE,
  type ResourceRecord,
  RR_TYPE,
  rcodeName,
  typeOfName,
} from '../../../protocols/dns/message.ts';
import { searchNames } from '../../../protocols/dns/resolver.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';
import { ask, resolvConfOf, serverAddresses } from './ask.ts';
import { dataText } from './text.ts';

interface NslookupOptions {
  readonly name: string;
  readonly server: string;
  /** Null: addresses, or the name of an address. */
  readonly type: number | null;
  /** ms */
  readonly timeout: number;
  readonly tries: number;
}

/** nslookup(1) of BIND 9.18, without its interactive mode. */
export const nslookup: Tool = endingOnError((args, ctx, out) => new Nslookup(ctx, out, parseOptions(args)));

function parseOptions(args: readonly string[]): NslookupOptions {
  let type: number | null = null;
  let timeout = 5000;
  let tries = 3;
  const operands: string[] = [];
  for (const word of args) {
    const [, key = '', value = ''] = /^-([a-z]+)(?:=(.*))?$/i.exec(word) ?? [];
    if (!word.startsWith('-')) operands.push(word);
    else if (['type', 'query', 'querytype', 'ty', 'q'].includes(key)) {
      type = typeOfName(value);
      if (type === null) throw new ToolError(`unknown query type: ${value}`, 1);
    } else if (key === 'timeout' && /^\d+$/.test(value)) timeout = Math.max(1, Number(value)) * 1000;
    else if (key === 'retry' && /^\d+$/.test(value)) tries = Number(value) + 1;
    else if (!['debug', 'nodebug', 'recurse', 'search', 'nosearch'].includes(key))
      throw new ToolError(`*** Invalid option: ${word.slice(1)}`, 1);
  }
  const [name, server = '', more] = operands;
  if (name === undefined)
    throw new ToolError('nslookup: there is no terminal for its interactive mode: give a name', 1);
  if (more !== undefined) throw new ToolError('Usage:\n   nslookup [-opt ...] host [server]', 1);
  return { name, server, type, timeout, tries };
}

class Nslookup implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: NslookupOptions;
  #running: { cancel(): void } = { cancel: () => {} };
  #ended = false;
  /** The head of an answer is printed once for the addresses of both families. */
  #headed = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: NslookupOptions) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    const { server } = options;
    if (server === '') this.#start(resolvConfOf(ctx).nameservers);
    else
      this.#running = serverAddresses(ctx, server, 'any', (found) => {
        if (this.#ended) return;
        if (found.ok) this.#start(found.addresses);
        else {
          out.stderr(`nslookup: couldn't get address for '${server}': not found\n`);
          this.#exit(1);
        }
      });
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #start(servers: readonly string[]): void {
    const { name, type } = this.#options;
    const address = parseHostAddress(name);
    if (address !== null && (type === null || type === RR_TYPE.PTR)) {
      this.#ask(servers, [reverseName(address)], RR_TYPE.PTR, (answer, asked) =>
        this.#pointer(answer, asked),
      );
      return;
    }
    const names = searchNames(name, resolvConfOf(this.#ctx));
    if (type !== null && type !== RR_TYPE.A && type !== RR_TYPE.AAAA) {
      this.#ask(servers, names, type, (answer, asked) => this.#records(answer, asked));
      return;
    }
    this.#ask(servers, names, type ?? RR_TYPE.A, (answer, asked) => {
      const missing = answer.message.rcode !== RCODE.NOERROR;
      if (missing || type !== null) {
        this.#addresses(answer);
        this.#end(answer, asked);
        return;
      }
      this.#addresses(answer);
      // With an address of the one family found, the other one is asked for under the same name.
      this.#ask(servers, [asked], RR_TYPE.AAAA, (second) => {
        this.#addresses(second);
        this.#end(answer, asked, second);
      });
    });
  }

  /** Asks for one name after the other until one exists. */
  #ask(
    servers: readonly string[],
    names: readonly string[],
    type: number,
    done: (answer: DnsAnswer, asked: string) => void,
  ): void {
    const [name = '', ...others] = names;
    const { timeout, tries } = this.#options;
    const how = { servers, timeout, tries, transport: 'udp' as const };
    this.#running = ask(
      this.#ctx,
      query(0, name, type),
      how,
      (line) => this.#out.stdout(line),
      (answer) => {
        if (this.#ended) return;
        if (answer === null) {
          this.#out.stdout(';; no servers could be reached\n\n');
          this.#exit(1);
        } else if (answer.message.rcode === RCODE.NXDOMAIN && others.length > 0)
          this.#ask(servers, others, type, done);
        else {
          if (answer.message.rcode === RCODE.SERVFAIL)
            this.#out.stdout(`;; Got SERVFAIL reply from ${answer.server}\n`);
          done(answer, name);
        }
      },
    );
  }

  #head({ server, message }: DnsAnswer): void {
    if (this.#headed) return;
    this.#headed = true;
    this.#out.stdout(`Server:\t\t${this.#options.server || server}\nAddress:\t${server}#53\n\n`);
    if (message.rcode === RCODE.NOERROR && !message.authoritative)
      this.#out.stdout('Non-authoritative answer:\n');
  }

  #addresses(answer: DnsAnswer): void {
    const first = !this.#headed;
    this.#head(answer);
    for (const { name, data } of answer.message.answers) {
      if (data.type === 'CNAME') {
        if (first) this.#out.stdout(`${name}\tcanonical name = ${data.target}.\n`);
      } else if (data.type === 'A' || data.type === 'AAAA')
        this.#out.stdout(`Name:\t${name}\nAddress: ${dataText(data)}\n`);
    }
  }

  #end(answer: DnsAnswer, asked: string, second: DnsAnswer | null = null): void {
    if (this.#notFound(answer, this.#options.name)) return;
    const found = [answer, second].some((one) => (one?.message.answers.length ?? 0) > 0);
    if (!found) this.#out.stdout(`*** Can't find ${asked}: No answer\n`);
    this.#out.stdout('\n');
    this.#exit(0);
  }

  #pointer(answer: DnsAnswer, asked: string): void {
    if (this.#options.type !== null) this.#head(answer);
    if (this.#notFound(answer, asked)) return;
    this.#list(answer, asked);
  }

  #records(answer: DnsAnswer, asked: string): void {
    this.#head(answer);
    if (this.#notFound(answer, this.#options.name)) return;
    this.#list(answer, asked);
  }

  #list({ message }: DnsAnswer, asked: string): void {
    for (const record of message.answers) this.#out.stdout(describe(record));
    if (message.answers.length === 0) this.#out.stdout(`*** Can't find ${asked}: No answer\n`);
    this.#out.stdout('\nAuthoritative answers can be found from:\n');
    for (const record of message.authorities) this.#out.stdout(describe(record));
    this.#out.stdout('\n');
    this.#exit(0);
  }

  #notFound({ message }: DnsAnswer, asked: string): boolean {
    if (message.rcode === RCODE.NOERROR) return false;
    this.#out.stdout(`** server can't find ${asked}: ${rcodeName(message.rcode)}\n\n`);
    this.#exit(1);
    return true;
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#running.cancel();
    this.#out.exit(code);
  }
}

function describe({ name, data }: ResourceRecord): string {
  switch (data.type) {
    case 'A':
    case 'AAAA':
      return `Name:\t${name}\nAddress: ${dataText(data)}\n`;
    case 'CNAME':
      return `${name}\tcanonical name = ${data.target}.\n`;
    case 'NS':
      return `${name}\tnameserver = ${data.target}.\n`;
    case 'PTR':
      return `${name}\tname = ${data.target}.\n`;
    case 'MX':
      return `${name}\tmail exchanger = ${dataText(data)}\n`;
    case 'SRV':
      return `${name}\tservice = ${dataText(data)}\n`;
    case 'TXT':
      return `${name}\ttext = ${dataText(data)}\n`;
    case 'SOA':
      return `${name}\n\torigin = ${data.mname}\n\tmail addr = ${data.rname}\n\tserial = ${data.serial}\n\trefresh = ${data.refresh}\n\tretry = ${data.retry}\n\texpire = ${data.expire}\n\tminimum = ${data.minimum}\n`;
    case 'other':
      return `${name}\trdata_${data.code} = ${dataText(data)}\n`;
  }
}
