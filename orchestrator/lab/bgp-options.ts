import { z } from 'zod';
import type {
  BfdOptions,
  DampingConfig,
  DynamicNeighbors,
  GracefulRestartConfig,
  MaximumPrefixes,
  NeighborOptions,
  SpeakerConfig,
} from '../../protocols/bgp/config.ts';
import { DAMPING_DEFAULTS, dampingCeiling } from '../../protocols/bgp/damping.ts';
import { formatIpPrefix } from '../../protocols/ip.ts';
import { anyCidr, asNumber, duration, ip4, ip6, map, name } from './schema-types.ts';

/** None is an empty list: it takes away what a weaker layer has set. */
const policyNames = z.union([name, z.array(name)]);

/** RFC 4724, RFC 9494; `true` for the daemons' own times. */
export const gracefulRestart = z.union([
  z.boolean(),
  map({
    restartTime: duration.optional(),
    stalePathTime: duration.optional(),
    longLivedTime: duration.optional(),
    notification: z.boolean().optional(),
  }),
]);

const damping = map({
  halfLife: duration.optional(),
  maxSuppress: duration.optional(),
  suppress: z.int().min(1).optional(),
  reuse: z.int().min(1).optional(),
}).check((ctx) => {
  const config = present(ctx.value);
  const { suppress, reuse } = { ...DAMPING_DEFAULTS, ...config };
  const ceiling = dampingCeiling(config);
  if (suppress <= reuse)
    ctx.issues.push({
      ...{ code: 'custom', input: ctx.value, path: [] },
      message: `a route that is suppressed above ${suppress} cannot be used again below ${reuse}; give a suppress above reuse`,
    });
  else if (ceiling <= suppress)
    ctx.issues.push({
      ...{ code: 'custom', input: ctx.value, path: [] },
      message: `nothing is ever suppressed: no penalty is above ${Math.floor(ceiling)} (reuse × 2^(maxSuppress / halfLife)), and suppress is ${suppress}; give a longer maxSuppress or a shorter halfLife`,
    });
});

/** How a session may be configured, in `session`, a group, `peers` or `neighbors`; each overrides the one before. */
const sessionShape = {
  ttl: z.int().min(1).max(255).optional(),
  ttlSecurity: z.int().min(1).max(254).optional(),
  passive: z.boolean().optional(),
  nextHopSelf: z.boolean().optional(),
  routeReflectorClient: z.boolean().optional(),
  families: z
    .array(z.enum(['ipv4', 'ipv6']))
    .min(1)
    .optional(),
  addPath: z.enum(['off', 'receive', 'send', 'both']).optional(),
  addPathLimit: z.int().min(1).max(256).optional(),
  extendedMessages: z.boolean().optional(),
  gracefulRestart: gracefulRestart.optional(),
  allowAsIn: z.int().min(0).max(10).optional(),
  enforceFirstAs: z.boolean().optional(),
  privateAs: z.enum(['keep', 'remove', 'replace']).optional(),
  asOverride: z.boolean().optional(),
  localPref: z.int().min(0).max(0xffffffff).optional(),
  med: z.int().min(0).max(0xffffffff).optional(),
  maximumPrefixes: map({
    limit: z.int().min(1),
    warnAt: z.number().min(0).max(1).optional(),
    action: z.enum(['reset', 'warn']).optional(),
    restartAfter: duration.optional(),
  }).optional(),
  holdTime: duration.optional(),
  keepalive: duration.optional(),
  mrai: duration.optional(),
  nextHop6: ip6.optional(),
  nextHop4: ip4.optional(),
  extendedNextHop: z.boolean().optional(),
  bfd: z
    .union([
      z.boolean(),
      map({
        minTx: duration.optional(),
        minRx: duration.optional(),
        multiplier: z.int().min(1).max(255).optional(),
      }),
    ])
    .optional(),
  import: policyNames.optional(),
  export: policyNames.optional(),
};

export const sessionOptions = map({ ...sessionShape, group: name.optional() });
export const neighborShape = { ...sessionShape, group: name.optional() };

/** Further keys of a speaker's `bgp`. */
export const speakerShape = {
  session: map(sessionShape).optional(),
  groups: z.record(name, map(sessionShape)).optional(),
  peers: z.record(z.string(), sessionOptions).optional(),
  dynamicNeighbors: z
    .array(
      map({
        ...neighborShape,
        prefix: anyCidr,
        as: z.array(asNumber).min(1),
        limit: z.int().min(1).optional(),
      }),
    )
    .optional(),
  loopAvoidance: z.enum(['plain', 'split-horizon', 'sender-side-loop-detection']).optional(),
  mraiAppliesTo: z.enum(['advertisements', 'all']).optional(),
  compareMed: z.enum(['same-as', 'always']).optional(),
  multipathAsPath: z.enum(['relaxed', 'same']).optional(),
  ebgpRequiresPolicy: z.boolean().optional(),
  damping: damping.optional(),
  gracefulRestart: sessionShape.gracefulRestart,
  jitter: z.boolean().optional(),
  originate: map({ mrt: z.string().min(1), peer: z.string().optional() }).optional(),
};

export type SessionOptions = z.infer<typeof sessionOptions>;
const speakerKeys = map(speakerShape);
export type SpeakerOptions = z.infer<typeof speakerKeys>;

/** Restart time that BIRD and FRR announce by default, ms. */
const RESTART_TIME = 120_000;

/** An object without its keys that are undefined. */
type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function present<T extends object>(fields: T): Partial<Present<T>> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Present<T>>;
}

function onOff(value: boolean | undefined): 'on' | 'off' | undefined {
  return value === undefined ? undefined : value ? 'on' : 'off';
}

function restartOf(value: SessionOptions['gracefulRestart']): GracefulRestartConfig | 'off' | undefined {
  if (value === undefined) return undefined;
  if (value === false) return 'off';
  const { restartTime = RESTART_TIME, notification, ...rest } = value === true ? {} : value;
  return { restartTime, ...present({ ...rest, notification: onOff(notification) }) };
}

/** FRR's intervals and multiplier. */
const BFD_INTERVAL = 300;
const BFD_MULTIPLIER = 3;

function bfdOf(value: SessionOptions['bfd']): BfdOptions | undefined {
  if (value === undefined || value === false) return undefined;
  const {
    minTx = BFD_INTERVAL,
    minRx = BFD_INTERVAL,
    multiplier = BFD_MULTIPLIER,
  } = value === true ? {} : value;
  return { minTx, minRx, multiplier };
}

/** The options of a session as the speaker takes them, from those that apply to it, weakest first. */
export function neighborOptions(layers: readonly (SessionOptions | undefined)[]): Partial<NeighborOptions> {
  const merged: SessionOptions = Object.assign({}, ...layers);
  const { group: _group, extendedMessages, gracefulRestart, enforceFirstAs, asOverride, ...others } = merged;
  const { extendedNextHop, ...plain } = others;
  const { maximumPrefixes, bfd, import: imports, export: exports, ...rest } = plain;
  return present({
    ...rest,
    maximumPrefixes:
      maximumPrefixes === undefined ? undefined : (present(maximumPrefixes) as MaximumPrefixes),
    bfd: bfdOf(bfd),
    import: typeof imports === 'string' ? [imports] : imports,
    export: typeof exports === 'string' ? [exports] : exports,
    extendedMessages: onOff(extendedMessages),
    extendedNextHop: onOff(extendedNextHop),
    enforceFirstAs: onOff(enforceFirstAs),
    asOverride: onOff(asOverride),
    gracefulRestart: restartOf(gracefulRestart),
  }) as Partial<NeighborOptions>;
}

/** What of a speaker's configuration comes from its options as they are. */
export function speakerOptions(options: SpeakerOptions): Partial<SpeakerConfig> {
  const restart = restartOf(options.gracefulRestart);
  return present({
    loopAvoidance: options.loopAvoidance,
    jitter: onOff(options.jitter),
    mraiAppliesTo: options.mraiAppliesTo,
    compareMed: options.compareMed,
    multipathAsPath: options.multipathAsPath,
    ebgpRequiresPolicy: onOff(options.ebgpRequiresPolicy),
    damping: options.damping === undefined ? undefined : (present(options.damping) as DampingConfig),
    gracefulRestart: restart === 'off' ? undefined : restart,
    dynamicNeighbors: options.dynamicNeighbors?.map((range): DynamicNeighbors => {
      const { prefix, as: remoteAs, limit, ...session } = range;
      const group = session.group === undefined ? undefined : options.groups?.[session.group];
      return {
        routeReflectorClient: false,
        nextHopSelf: false,
        passive: true,
        ttl: 64,
        ...neighborOptions([options.session, group, session]),
        prefix: formatIpPrefix(prefix),
        remoteAs,
        ...present({ limit }),
      };
    }),
  }) as Partial<SpeakerConfig>;
}
