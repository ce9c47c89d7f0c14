import { setU16, u16 } from '../bytes.ts';
import { type Family, HEADER_LENGTH, MessageType } from './constants.ts';
import { frameMessage } from './header.ts';

/** RFC 7313 §4.1 */
export const RefreshSubtype = { request: 0, begin: 1, end: 2 } as const;

/** RFC 2918 §3, with the message subtype of RFC 7313 §4.1 in the reserved byte. */
export interface RouteRefresh {
  readonly family: Family;
  /** 0 a request, 1 and 2 the beginning and end of the refresh. */
  readonly subtype: number;
}

/** AFI (2), subtype (1), SAFI (1); null if the body has any other length. */
export function decodeRouteRefresh(body: Uint8Array): RouteRefresh | null {
  if (body.length !== 4) return null;
  return { family: { afi: u16(body, 0), safi: body[3]! }, subtype: body[2]! };
}

export function encodeRouteRefresh({ family, subtype }: RouteRefresh): Uint8Array {
  const message = frameMessage(MessageType.routeRefresh, 4);
  setU16(message, HEADER_LENGTH, family.afi);
  message[HEADER_LENGTH + 2] = subtype;
  message[HEADER_LENGTH + 3] = family.safi;
  return message;
}
