import type { Session } from '../../../protocols/bgp/session.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { parseIp } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import type { Netns } from '../../kernel/netns.ts';
import { explainRoute, neighborText, summary } from './explain.ts';
import type { BgpFib } from './fib.ts';
import { dateTime, type ProtocolNames, protocolInfo, protocolState, since } from './format.ts';
import { protocolDetail } from './show-protocol.ts';
import { type RouteQuery, routesOf, showRoutes } from './show-route.ts';

export interface ShellOutput {
  readonly text: string;
  /** Exit code. */
  readonly code: number;
}

/** What the commands look at. Times are ms. */
export interface ShowContext {
  readonly speaker: BgpSpeaker;
  readonly names: ProtocolNames;
  readonly fib: BgpFib;
  readonly netns: Netns;
  readonly now: number;
  readonly startedAt: number;
}

/** The BIRD that Calico ships. */
const VERSION = 'v0.3.3+birdv1.6.8';

/**
 * `birdc` in BIRD 1.6's format: `show status`, `show protocols [all] [NAME]`, `show route [for] [PREFIX] [protocol NAME]
 * [all]`. NAME is a protocol's or the neighbour's in the lab.
 */
export function birdc(args: readonly string[], context: ShowContext): ShellOutput {
  const own = explained(args, context);
  if (own !== null) return own;
  const answer = run(args, context);
  return { text: `BIRD ${VERSION} ready.\n${answer.text}`, code: answer.code };
}

/**
 * What BIRD does not tell: `show summary`, `show neighbors [NAME]`, `show why PREFIX`; null for any other command. The
 * answer of `why` names the step of the decision, and what was refused.
 */
function explained([verb, what, ...rest]: readonly string[], context: ShowContext): ShellOutput | null {
  const { speaker, names, now } = context;
  if (verb !== 'show') return null;
  if (what === 'summary' && rest.length === 0) return output(summary(speaker, now));
  if (what === 'neighbors' || what === 'neighbor') {
    const [name, ...more] = rest;
    if (more.length > 0) return syntaxError(more[0] ?? '');
    if (name === undefined)
      return output([...speaker.sessions()].map((each) => neighborText(each, now)).join('\n'));
    const session = names.find(name, speaker);
    return session === undefined
      ? failure(`there is no neighbor ${name}`)
      : output(neighborText(session, now));
  }
  if (what !== 'why') return null;
  const [prefix = '', ...more] = rest;
  if (prefix === '' || more.length > 0) return failure('say which prefix: why 10.0.0.0/8');
  const found = routesOf(prefix, context);
  if (found === null) return failure(`${prefix} is not a prefix`);
  if (found.length === 0) return failure('Network not in table');
  return output(found.map((destination) => explainRoute(destination, speaker)).join('\n'));
}

function run(args: readonly string[], context: ShowContext): ShellOutput {
  const [verb, what, ...rest] = args;
  if (verb !== 'show' || what === undefined) return syntaxError(verb ?? '');
  if ('status'.startsWith(what) && rest.length === 0) return output(status(context));
  if ('protocols'.startsWith(what)) return showProtocols(rest, context);
  if ('route'.startsWith(what)) {
    const query = routeQuery(rest, context);
    return typeof query === 'string' ? failure(query) : showRoutes(query, context);
  }
  return syntaxError(what);
}

function output(text: string): ShellOutput {
  return { text, code: 0 };
}

export function failure(text: string): ShellOutput {
  return { text: `${text}\n`, code: 1 };
}

function syntaxError(at: string): ShellOutput {
  const where = at === '' ? 'unexpected end of command' : `unexpected ${at}`;
  return failure(`syntax error, ${where}; use show status, protocols, route, summary, neighbors or why`);
}

function status({ speaker, now, startedAt }: ShowContext): string {
  return [
    `BIRD ${VERSION}`,
    `Router ID is ${formatIp4(speaker.identifier)}`,
    `Current server time is ${dateTime(now)}`,
    `Last reboot on ${dateTime(startedAt)}`,
    `Last reconfiguration on ${dateTime(startedAt)}`,
    'Daemon is up and running',
    '',
  ].join('\n');
}

function showProtocols(args: readonly string[], context: ShowContext): ShellOutput {
  const all = args[0] === 'all';
  const name = args[all ? 1 : 0];
  if (args.length > (all ? 2 : 1)) return syntaxError(args.at(-1) ?? '');
  const { speaker, names } = context;
  const found = name === undefined ? undefined : names.find(name, speaker);
  if (name !== undefined && found === undefined) return failure(`${name} is not a protocol`);
  const sessions = found === undefined ? [...speaker.sessions()] : [found];
  const head = 'name     proto    table    state  since       info\n';
  const rows = sessions.map((session) => {
    const line = protocolLine(session, context);
    return all ? `${line}${protocolDetail(session, context)}\n` : line;
  });
  return output(head + rows.join(''));
}

function protocolLine(session: Session, { names, now }: ShowContext): string {
  const { state, error } = protocolInfo(session);
  const columns = [
    names.of(session.name).padEnd(8),
    'BGP'.padEnd(8),
    'master'.padEnd(8),
    protocolState(session).padEnd(5),
  ];
  return `${columns.join(' ')}  ${since(session.since, now).padEnd(10)}  ${state.padEnd(14)}${error}\n`;
}

/** What `show route` is asked for; an error text if that makes no sense. */
function routeQuery(args: readonly string[], { speaker, names }: ShowContext): RouteQuery | string {
  const query: { -readonly [K in keyof RouteQuery]: RouteQuery[K] } = {
    prefix: null,
    match: 'exact',
    session: null,
    detail: 'line',
  };
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (word === 'all') query.detail = 'all';
    else if (word === 'for') query.match = 'longest';
    else if (word === 'protocol') {
      const name = args[++i] ?? '';
      const session = names.find(name, speaker);
      if (session === undefined) return `${name} is not a protocol`;
      query.session = session;
    } else if (parseIp(word.split('/')[0] ?? '') !== null && query.prefix === null) {
      query.prefix = word;
      if (!word.includes('/')) query.match = 'longest';
    } else {
      return `syntax error, unexpected ${word}`;
    }
  }
  if (query.match === 'longest' && query.prefix === null) return 'syntax error, unexpected end of command';
  return query;
}
