import { HEADER_LENGTH, MessageType } from './constants.ts';
import { messageBody, messageType } from './header.ts';
import { decodeNotification, type Notification } from './notification.ts';
import { decodeOpen, type OpenResult } from './open.ts';
import { decodeRouteRefresh, type RouteRefresh } from './route-refresh.ts';

/** A message as far as it can be read without knowing the session; an UPDATE goes to `UpdateDecoder`. */
export type BgpMessage =
  | { readonly type: 'open'; readonly result: OpenResult }
  | { readonly type: 'update'; readonly body: Uint8Array }
  | { readonly type: 'notification'; readonly notification: Notification }
  | { readonly type: 'keepalive' }
  | { readonly type: 'route-refresh'; readonly refresh: RouteRefresh }
  /** A type or a length that no framer lets through, or a ROUTE-REFRESH of an unknown length. */
  | { readonly type: 'malformed' };

/** Reads a message that the framer has cut out. Does not throw. */
export function decodeMessage(message: Uint8Array): BgpMessage {
  if (message.length < HEADER_LENGTH) return { type: 'malformed' };
  const body = messageBody(message);
  switch (messageType(message)) {
    case MessageType.open:
      return { type: 'open', result: decodeOpen(body) };
    case MessageType.update:
      return { type: 'update', body };
    case MessageType.notification: {
      const notification = decodeNotification(body);
      return notification === null ? { type: 'malformed' } : { type: 'notification', notification };
    }
    case MessageType.keepalive:
      return { type: 'keepalive' };
    case MessageType.routeRefresh: {
      const refresh = decodeRouteRefresh(body);
      return refresh === null ? { type: 'malformed' } : { type: 'route-refresh', refresh };
    }
    default:
      return { type: 'malformed' };
  }
}
