import { bestPathFacts } from '../../../protocols/bgp/facts.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { type BgpView, byPeer, compareText, inPrefixOrder, ribRows } from '../../state/bgp-view.ts';

/** The speaker's live state, to be held against the fold of its events. */
export function snapshotSpeaker(speaker: BgpSpeaker): BgpView {
  const sessions = [...speaker.sessions()].filter(({ started }) => started);
  sessions.sort((a, b) => compareText(a.name, b.name));
  const best = [...speaker.locRib.destinations()].map(bestPathFacts).filter((facts) => facts !== null);
  return {
    sessions: sessions.map(({ name, state }) => ({ peer: name, state })),
    adjRibIn: byPeer(
      sessions.map(({ name, ribIn }) => [
        name,
        ribRows(
          Array.from(ribIn.routes(), ({ destination: { key }, path: { pathId, received: attributes } }) => ({
            key,
            pathId,
            attributes,
          })),
        ),
      ]),
    ),
    locRib: inPrefixOrder(best, ({ prefix }) => prefix),
    adjRibOut: byPeer(
      sessions.map(({ name, advertiser }) => [
        name,
        ribRows(
          Array.from(advertiser?.advertised() ?? [], ([{ key }, pathId, attributes]) => ({
            key,
            pathId,
            attributes,
          })),
        ),
      ]),
    ),
    originated: inPrefixOrder(speaker.originatedPrefixes().map(formatKey), (prefix) => prefix),
  };
}
