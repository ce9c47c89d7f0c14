import {
  familyOf,
  formatIp,
  formatIpPrefix,
  type IpAddress,
  type IpPrefix,
  ipPrefixContains,
} from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import type { XfrmDirection, XfrmMode, XfrmPolicyFacts } from '../../events/xfrm.ts';
import type { XfrmFlow } from './flow.ts';
import { type Lifetime, limitFacts, type XfrmLimits } from './lifetime.ts';

export interface XfrmTemplate {
  /** The unspecified address of its family: any; the packet's own in transport mode. */
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  readonly level: 'required' | 'use';
}

/** What names a policy in its direction. */
export interface XfrmSelector {
  readonly src: IpPrefix;
  readonly dst: IpPrefix;
  /** 0: any. */
  readonly proto: number;
  /** Ports, or type and code of ICMP; null: any. */
  readonly sport: number | null;
  readonly dport: number | null;
}

export interface XfrmPolicy extends XfrmSelector {
  readonly dir: XfrmDirection;
  readonly action: 'allow' | 'block';
  readonly priority: number;
  /** One at most. */
  readonly template: XfrmTemplate | null;
  /** Those of time alone are kept to, as in Linux. */
  readonly limits: XfrmLimits;
}

/** A policy as it stands in the kernel. */
export interface XfrmPolicyEntry {
  readonly policy: XfrmPolicy;
  /** The kernel's number of it; the direction is in its lower bits. */
  readonly index: number;
  readonly lifetime: Lifetime;
}

export const DIRECTION_NUMBER: Readonly<Record<XfrmDirection, number>> = { in: 0, out: 1, fwd: 2 };

export function isAny(address: IpAddress): boolean {
  return address === 0 || address === ANY_IP6;
}

/** `xfrm_selector_match` */
export function selects(selector: XfrmSelector, { src, dst, proto, sport, dport }: XfrmFlow): boolean {
  return (
    (selector.proto === 0 || selector.proto === proto) &&
    familyOf(selector.src.addr) === familyOf(src) &&
    ipPrefixContains(selector.src, src) &&
    ipPrefixContains(selector.dst, dst) &&
    (selector.sport === null || selector.sport === sport) &&
    (selector.dport === null || selector.dport === dport)
  );
}

export function selectorFacts({ src, dst, proto, sport, dport }: XfrmSelector) {
  return {
    src: formatIpPrefix(src),
    dst: formatIpPrefix(dst),
    proto,
    ...(sport === null ? {} : { sport }),
    ...(dport === null ? {} : { dport }),
  };
}

export function policyFacts(policy: XfrmPolicy): XfrmPolicyFacts {
  const { dir, action, priority, template, limits } = policy;
  const templates =
    template === null ? [] : [{ ...template, src: formatIp(template.src), dst: formatIp(template.dst) }];
  const limited = limitFacts(limits);
  return {
    dir,
    ...selectorFacts(policy),
    action,
    priority,
    templates,
    ...(limited === null ? {} : { limits: limited }),
  };
}
