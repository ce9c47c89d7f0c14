import { arpCases } from './arp.ts';
import { bridgeCases } from './bridge.ts';
import { bridgeVlanCases } from './bridge-vlan.ts';
import type { CaseGroup } from './case.ts';
import { dadCases } from './dad.ts';
import { extensionCases } from './extensions.ts';
import { fragmentsCases } from './fragments.ts';
import { ipOptionsCases } from './ip-options.ts';
import { ip6tablesCases } from './ip6tables.ts';
import { iptablesCases } from './iptables.ts';
import { ipv6Cases } from './ipv6.ts';
import { ipvlanCases } from './ipvlan.ts';
import { ipvsCases } from './ipvs.ts';
import { macvlanCases } from './macvlan.ts';
import { neighborsInTimeCases } from './neighbors-in-time.ts';
import { netemCases } from './netem.ts';
import { routerAdvertCases } from './router-advert.ts';
import { routingCases } from './routing.ts';
import { sourceAddressCases } from './source-address.ts';
import { tcpTrackCases } from './tcp-track.ts';
import { tunnelCases } from './tunnels.ts';
import { gre6Cases, sitCases, tunnel6Cases, tunnel6SettingCases } from './tunnels6.ts';
import { vlanCases } from './vlan.ts';
import { vxlanCases } from './vxlan.ts';
import { vxlan6Cases } from './vxlan6.ts';
import { xfrmCases } from './xfrm.ts';

export const GROUPS: readonly CaseGroup[] = [
  arpCases,
  neighborsInTimeCases,
  ipOptionsCases,
  fragmentsCases,
  iptablesCases,
  tcpTrackCases,
  ipv6Cases,
  ip6tablesCases,
  dadCases,
  routerAdvertCases,
  sourceAddressCases,
  vxlanCases,
  vxlan6Cases,
  bridgeCases,
  routingCases,
  extensionCases,
  bridgeVlanCases,
  ipvsCases,
  xfrmCases,
  tunnelCases,
  macvlanCases,
  ipvlanCases,
  netemCases,
  vlanCases,
];

/**
 * Those that were asked of a guest one case at a time: a guest with several of their namespaces at once comes to a stop, so Linux is
 * not asked again by the test that asks all others.
 */
export const ASKED_ONCE: readonly CaseGroup[] = [tunnel6Cases, gre6Cases, sitCases, tunnel6SettingCases];
