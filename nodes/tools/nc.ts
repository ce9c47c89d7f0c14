import { GAI_ERRORS, type GaiError } from '../../protocols/dns/resolver.ts';
import { ANY_IP6 } from '../../protocols/ip6.ts';
import { Connecting } from './nc-connect.ts';
import { Listening } from './nc-listen.ts';
import { parseNcOptions } from './nc-options.ts';
import { parsePeer, resolveHost } from './resolve.ts';
import { endingOnError, type Tool, ToolError, WaitingTool } from './tool.ts';

/** nc(1) of OpenBSD. Its standard input is what the shell's pipe or its caller gives it, then ends. */
export const nc: Tool = endingOnError((args, ctx, out) => {
  const options = parseNcOptions(args);
  const { flags, host, family } = options;
  const numeric = host === '' ? null : parsePeer(ctx.ns, host);
  const failed = (error: GaiError) =>
    new ToolError(
      flags.has('l')
        ? `nc: getaddrinfo: ${GAI_ERRORS[error]}`
        : `nc: getaddrinfo for host "${host}" port ${options.ports[0]}: ${GAI_ERRORS[error]}`,
      1,
    );
  if (flags.has('l') && host === '')
    return new Listening(ctx, out, options, { addr: family === 'ipv6' ? ANY_IP6 : 0 });
  if (flags.has('n') && (numeric === null || numeric === 'no-device')) throw failed('EAI_NONAME');
  return new WaitingTool(ctx, out, (resume) =>
    resolveHost(ctx, host, family, (resolved) =>
      resume(() => {
        if (!resolved.ok) throw failed(resolved.error);
        const { peers } = resolved;
        return flags.has('l')
          ? new Listening(ctx, out, options, peers[0])
          : new Connecting(ctx, out, options, peers);
      }),
    ),
  );
});
