import type { XfrmFlow } from './flow.ts';
import type { Expiry } from './lifetime.ts';
import type { XfrmPolicyEntry } from './policy.ts';
import type { XfrmState } from './state.ts';

/** What `ip xfrm monitor` is told. */
export type XfrmNotice =
  | { readonly type: 'state'; readonly how: 'new' | 'updated' | 'deleted'; readonly state: XfrmState }
  | { readonly type: 'expired'; readonly limit: Expiry; readonly state: XfrmState }
  | { readonly type: 'policy'; readonly how: 'new' | 'updated' | 'deleted'; readonly policy: XfrmPolicyEntry }
  | { readonly type: 'policy-expired'; readonly limit: Expiry; readonly policy: XfrmPolicyEntry }
  /** A policy wants an association that there is not. */
  | { readonly type: 'acquire'; readonly flow: XfrmFlow; readonly policy: XfrmPolicyEntry }
  | { readonly type: 'flushed'; readonly what: 'state' | 'policy' };
