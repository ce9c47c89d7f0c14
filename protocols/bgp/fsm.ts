/**
 * The finite state machine of RFC 4271 §8.2.2 as a pure function: state and event give the next state and what is to
 * be done. It belongs to one connection; a neighbour can have two of them until a collision is resolved (§6.8).
 *
 * Three liberties, all of them what BIRD and FRR do: a failed TCP connect leaves Connect for Active, not for Idle, so
 * that the peer's own attempt is still accepted; a NOTIFICATION is never answered by one; a message header error in
 * Established is reported as such, not as an FSM error.
 */

export type SessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** The events of RFC 4271 §8.1 that this machine takes, by the RFC's names, and ROUTE-REFRESH's. */
export type FsmEvent =
  | 'ManualStart'
  | 'ManualStop'
  | 'AutomaticStart'
  | 'ManualStart_with_PassiveTcpEstablishment'
  | 'AutomaticStart_with_PassiveTcpEstablishment'
  | 'AutomaticStop'
  | 'ConnectRetryTimer_Expires'
  | 'HoldTimer_Expires'
  /** RFC 9687 §3.1: the peer has not taken a byte for too long. */
  | 'SendHoldTimer_Expires'
  | 'KeepaliveTimer_Expires'
  | 'DelayOpenTimer_Expires'
  | 'Tcp_CR_Acked'
  | 'TcpConnectionConfirmed'
  | 'TcpConnectionFails'
  | 'BGPOpen'
  | 'BGPOpen_with_DelayOpenTimer_running'
  | 'BGPHeaderErr'
  | 'BGPOpenMsgErr'
  | 'OpenCollisionDump'
  | 'NotifMsgVerErr'
  | 'NotifMsg'
  | 'KeepAliveMsg'
  | 'UpdateMsg'
  | 'UpdateMsgErr'
  | 'RouteRefreshMsg';

export type FsmAction =
  | 'reset-retry-counter'
  | 'count-retry'
  | 'start-connect-retry'
  | 'stop-connect-retry'
  | 'start-delay-open'
  | 'stop-delay-open'
  | 'connect'
  | 'send-open'
  | 'send-keepalive'
  /** The one that came with the event, or the event's own; see `unexpectedSubcode`. */
  | 'send-notification'
  /** Hold timer at the large value of §8.2.2, until the OPENs have been exchanged. */
  | 'start-open-hold'
  /** Hold timer at the negotiated value, none if that is 0. */
  | 'start-hold'
  | 'restart-hold'
  | 'start-keepalive'
  | 'restart-keepalive'
  | 'drop-connection';

export interface Transition {
  readonly next: SessionState;
  readonly actions: readonly FsmAction[];
}

/** The optional session attributes of §8.1.1 that change transitions. */
export interface FsmOptions {
  readonly delayOpen: 'on' | 'off';
  readonly sendNotificationWithoutOpen: 'on' | 'off';
}

const STAY: readonly FsmAction[] = [];
const CLOSE: readonly FsmAction[] = ['stop-connect-retry', 'stop-delay-open', 'drop-connection'];
const CLOSE_COUNTED: readonly FsmAction[] = [...CLOSE, 'count-retry'];
const CLOSE_STOPPED: readonly FsmAction[] = [...CLOSE, 'reset-retry-counter'];
const NOTIFY_CLOSE_COUNTED: readonly FsmAction[] = ['send-notification', ...CLOSE_COUNTED];
const NOTIFY_CLOSE_STOPPED: readonly FsmAction[] = ['send-notification', ...CLOSE_STOPPED];
const OPEN_AFTER_TCP: readonly FsmAction[] = ['stop-connect-retry', 'send-open', 'start-open-hold'];
const DELAY_AFTER_TCP: readonly FsmAction[] = ['stop-connect-retry', 'start-delay-open'];
const OPEN_AFTER_DELAY: readonly FsmAction[] = [
  'stop-connect-retry',
  'stop-delay-open',
  'send-open',
  'start-open-hold',
];
const CONFIRM: readonly FsmAction[] = [
  'stop-connect-retry',
  'stop-delay-open',
  'send-keepalive',
  'start-keepalive',
  'start-hold',
];
const OPEN_AND_CONFIRM: readonly FsmAction[] = ['send-open', ...CONFIRM];

const IDLE_COUNTED: Transition = { next: 'Idle', actions: CLOSE_COUNTED };
const IDLE_NOTIFIED: Transition = { next: 'Idle', actions: NOTIFY_CLOSE_COUNTED };
const IDLE_STOPPED: Transition = { next: 'Idle', actions: NOTIFY_CLOSE_STOPPED };
const IDLE_QUIET: Transition = { next: 'Idle', actions: CLOSE };

const IN_ESTABLISHED: Transition = { next: 'Established', actions: ['restart-hold'] };

export function transition(state: SessionState, event: FsmEvent, options: FsmOptions): Transition {
  switch (state) {
    case 'Idle':
      return inIdle(event);
    case 'Connect':
    case 'Active':
      return beforeOpen(state, event, options);
    case 'OpenSent':
      return inOpenSent(event);
    case 'OpenConfirm':
      return inOpenConfirm(event);
    case 'Established':
      return inEstablished(event);
  }
}

/** All connections are refused, no resources held; everything but a start is ignored. */
function inIdle(event: FsmEvent): Transition {
  switch (event) {
    case 'ManualStart':
    case 'AutomaticStart':
      return { next: 'Connect', actions: ['reset-retry-counter', 'start-connect-retry', 'connect'] };
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
      return { next: 'Active', actions: ['reset-retry-counter', 'start-connect-retry'] };
    default:
      return { next: 'Idle', actions: STAY };
  }
}

/** Connect: waiting for TCP. Active: listening, and waiting for the ConnectRetryTimer. */
function beforeOpen(state: 'Connect' | 'Active', event: FsmEvent, options: FsmOptions): Transition {
  switch (event) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
      return { next: state, actions: STAY };
    case 'ManualStop':
      return { next: 'Idle', actions: CLOSE_STOPPED };
    case 'ConnectRetryTimer_Expires':
      return state === 'Connect'
        ? {
            next: 'Connect',
            actions: ['drop-connection', 'stop-delay-open', 'start-connect-retry', 'connect'],
          }
        : { next: 'Connect', actions: ['start-connect-retry', 'connect'] };
    case 'DelayOpenTimer_Expires':
      return { next: 'OpenSent', actions: OPEN_AFTER_DELAY };
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      return options.delayOpen === 'on'
        ? { next: state, actions: DELAY_AFTER_TCP }
        : { next: 'OpenSent', actions: OPEN_AFTER_TCP };
    case 'TcpConnectionFails':
      return state === 'Connect'
        ? { next: 'Active', actions: ['stop-delay-open', 'drop-connection', 'start-connect-retry'] }
        : IDLE_COUNTED;
    case 'BGPOpen_with_DelayOpenTimer_running':
      return { next: 'OpenConfirm', actions: OPEN_AND_CONFIRM };
    case 'BGPHeaderErr':
    case 'BGPOpenMsgErr':
      return options.sendNotificationWithoutOpen === 'on' ? IDLE_NOTIFIED : IDLE_COUNTED;
    case 'NotifMsgVerErr':
      return IDLE_QUIET;
    default:
      return IDLE_COUNTED;
  }
}

/** An OPEN has gone out, the peer's is awaited. */
function inOpenSent(event: FsmEvent): Transition {
  switch (event) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      return { next: 'OpenSent', actions: STAY };
    case 'ManualStop':
      return IDLE_STOPPED;
    case 'TcpConnectionFails':
      return { next: 'Active', actions: ['drop-connection', 'start-connect-retry'] };
    case 'BGPOpen':
      return { next: 'OpenConfirm', actions: CONFIRM };
    case 'NotifMsgVerErr':
      return IDLE_QUIET;
    case 'NotifMsg':
      return IDLE_COUNTED;
    default:
      return IDLE_NOTIFIED;
  }
}

/** Both OPENs have been exchanged, the peer's KEEPALIVE is awaited. */
function inOpenConfirm(event: FsmEvent): Transition {
  switch (event) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      return { next: 'OpenConfirm', actions: STAY };
    case 'ManualStop':
      return IDLE_STOPPED;
    case 'KeepaliveTimer_Expires':
      return { next: 'OpenConfirm', actions: ['send-keepalive', 'restart-keepalive'] };
    case 'NotifMsg':
    case 'TcpConnectionFails':
      return IDLE_COUNTED;
    case 'NotifMsgVerErr':
      return IDLE_QUIET;
    case 'KeepAliveMsg':
      return IN_ESTABLISHED;
    default:
      return IDLE_NOTIFIED;
  }
}

function inEstablished(event: FsmEvent): Transition {
  switch (event) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      return { next: 'Established', actions: STAY };
    case 'ManualStop':
      return IDLE_STOPPED;
    case 'KeepaliveTimer_Expires':
      return { next: 'Established', actions: ['send-keepalive', 'restart-keepalive'] };
    case 'NotifMsg':
    case 'NotifMsgVerErr':
    case 'TcpConnectionFails':
      return IDLE_COUNTED;
    case 'KeepAliveMsg':
    case 'UpdateMsg':
    case 'RouteRefreshMsg':
      return IN_ESTABLISHED;
    default:
      return IDLE_NOTIFIED;
  }
}

/** Subcode of the FSM error for a message that the state does not expect, RFC 6608 §3. */
export function unexpectedSubcode(state: SessionState): number {
  return state === 'OpenSent' ? 1 : state === 'OpenConfirm' ? 2 : state === 'Established' ? 3 : 0;
}
