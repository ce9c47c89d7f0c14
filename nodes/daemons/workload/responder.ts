import { headerValue, listOf, reasonOf } from '../../../protocols/http/message.ts';
import { latin1 } from '../../../protocols/http/serialize.ts';
import { formatIp } from '../../../protocols/ip.ts';
import type { HttpAnswer, HttpRequest } from './http-server.ts';

/** Who a workload is. */
export interface Identity {
  /** Container's name, or `namespace/name` of the pod. */
  readonly name: string;
  /** Container's id, or the pod's uid. */
  readonly uid: string;
  readonly hostname: string;
  readonly image: string;
  /** With prefix length, as they are at the moment. */
  readonly addresses: () => readonly string[];
}

/** Longest that `/delay` waits, seconds; most that `/bytes` sends. */
const MAX_DELAY = 300;
const MAX_BYTES = 64 * 1_048_576;

/**
 * Answers a request with who answers and whom it takes the client for, as text, or as JSON below /json or where Accept asks
 * for it. Besides: /healthz, /hostname, /delay/SECONDS, /bytes/N, /status/CODE, /echo, /redirect/PATH.
 */
export function respond(identity: Identity, request: HttpRequest): HttpAnswer {
  const { head, body } = request;
  const path = pathOf(head.target);
  const [, first = '', rest = ''] = /^\/([^/]*)(?:\/(.*))?$/.exec(path) ?? [];
  switch (first) {
    case 'healthz':
    case 'readyz':
    case 'livez':
      return text(200, 'ok');
    case 'hostname':
      return text(200, identity.hostname);
    case 'delay': {
      const seconds = Number(rest);
      if (!/^\d+(\.\d+)?$/.test(rest) || seconds > MAX_DELAY)
        return text(400, `/delay/SECONDS takes a number up to ${MAX_DELAY}\n`);
      return { ...whoAmI(identity, request, path), delay: seconds * 1000 };
    }
    case 'bytes': {
      const count = Number(rest);
      if (!/^\d+$/.test(rest) || count > MAX_BYTES)
        return text(400, `/bytes/N takes a number up to ${MAX_BYTES}\n`);
      return { status: 200, type: 'application/octet-stream', body: pattern(count) };
    }
    case 'status': {
      const status = Number(rest);
      if (!/^[2-5]\d\d$/.test(rest)) return text(400, '/status/CODE takes a number from 200 to 599\n');
      return text(status, `${status} ${reasonOf(status)}\n`);
    }
    case 'echo':
      return {
        status: 200,
        type:
          headerValue(head.headers, 'content-type')?.replace(/[^\t\x20-\x7e]/g, '') ??
          'application/octet-stream',
        body,
      };
    case 'redirect':
      return { ...text(302, ''), headers: [['Location', `/${rest}`]] };
    default:
      return whoAmI(identity, request, path);
  }
}

/** Without the query, and without scheme and authority of an absolute form. */
function pathOf(target: string): string {
  const path = target.replace(/^[a-z]+:\/\/[^/?]*/i, '').replace(/[?#].*$/s, '');
  return path.startsWith('/') ? path : `/${path}`;
}

function whoAmI(identity: Identity, { head, local, remote }: HttpRequest, path: string): HttpAnswer {
  const facts = {
    name: identity.name,
    uid: identity.uid,
    hostname: identity.hostname,
    image: identity.image,
    addresses: identity.addresses(),
    server: { address: formatIp(local.addr), port: local.port },
    client: { address: formatIp(remote.addr), port: remote.port },
    request: {
      method: head.method,
      target: head.target,
      version: `HTTP/${head.version}`,
      host: headerValue(head.headers, 'host'),
      headers: Object.fromEntries(head.headers),
    },
  };
  const accepted = listOf(headerValue(head.headers, 'accept')).map((one) => one.replace(/;.*$/, '').trim());
  if (path === '/json' || accepted[0] === 'application/json')
    return {
      status: 200,
      type: 'application/json',
      body: latin1(`${ascii(JSON.stringify(facts, null, 2))}\n`),
    };
  const lines = [
    `Hostname: ${facts.hostname}`,
    `Name: ${facts.name}`,
    `UID: ${facts.uid}`,
    `Image: ${facts.image}`,
    ...facts.addresses.map((address) => `IP: ${address}`),
    `Server: ${endpoint(facts.server)}`,
    `Client: ${endpoint(facts.client)}`,
    '',
    `${head.method} ${head.target} HTTP/${head.version}`,
    ...head.headers.map(([name, value]) => `${name}: ${value}`),
  ];
  return text(200, `${lines.join('\n')}\n`);
}

function endpoint({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** JSON with what is not ASCII as `\uXXXX`. */
function ascii(json: string): string {
  return json.replace(/[^\n\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function text(status: number, body: string): HttpAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: latin1(body) };
}

function pattern(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = 0x30 + (i % 64);
  return bytes;
}
