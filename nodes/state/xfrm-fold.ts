import type { XfrmEvent, XfrmPolicyFacts, XfrmStateFacts } from '../events/xfrm.ts';

/** What IPsec knows in one namespace. */
export class XfrmSlice {
  readonly states = new Map<string, XfrmStateFacts>();
  readonly policies = new Map<string, XfrmPolicyFacts>();

  apply(event: XfrmEvent): void {
    switch (event.type) {
      case 'xfrm.state.set':
        this.states.set(stateKey(event.state), event.state);
        return;
      case 'xfrm.state.removed':
        this.states.delete(stateKey(event));
        return;
      case 'xfrm.state.expired':
        if (event.limit === 'hard') this.states.delete(stateKey(event));
        return;
      case 'xfrm.policy.set':
        this.policies.set(policyKey(event.policy), event.policy);
        return;
      case 'xfrm.policy.removed':
        this.policies.delete(policyKey(event));
    }
  }
}

/** What names a security association on this host. */
export function stateKey({ dst, spi }: Pick<XfrmStateFacts, 'dst' | 'spi'>): string {
  return `${dst} ${spi.toString(16).padStart(8, '0')}`;
}

export function policyKey({
  dir,
  src,
  dst,
  proto,
  sport,
  dport,
}: Pick<XfrmPolicyFacts, 'dir' | 'src' | 'dst' | 'proto' | 'sport' | 'dport'>): string {
  const ports = sport === undefined && dport === undefined ? '' : ` ${sport ?? '*'} ${dport ?? '*'}`;
  return `${dir} ${src} ${dst} ${proto}${ports}`;
}
