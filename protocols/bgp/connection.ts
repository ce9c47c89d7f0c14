import type { SpeakerTimings } from './config.ts';
import { ConnectionTimers, type TimerOwner } from './connection-timers.ts';
import { MAX_MESSAGE, MessageType } from './constants.ts';
import { Framer } from './framer.ts';
import { type FsmAction, type FsmEvent, type SessionState, transition, unexpectedSubcode } from './fsm.ts';
import { encodeKeepalive, messageType } from './header.ts';
import type { ConnectionId, Endpoint } from './host.ts';
import { decodeMessage } from './message.ts';
import type { Negotiated } from './negotiate.ts';
import {
  CeaseError,
  ErrorCode,
  encodeNotification,
  type Notification,
  notification,
  shutdownCommunication,
} from './notification.ts';
import { encodeOpen, type Open } from './open.ts';
import type { RouteRefresh } from './route-refresh.ts';
import { SendQueue } from './send-queue.ts';

/** Hold time while the OPENs are exchanged, whatever the one of the session is to be: RFC 4271 §8.2.2 suggests 4 minutes, ms. */
const STARTUP_HOLD = 240_000;

/** SendHoldTime, RFC 9687 §6: the larger of eight minutes and twice the hold time, ms. */
const SEND_HOLD = 480_000;

/** What a connection asks of its session. */
export interface ConnectionOwner extends TimerOwner {
  readonly timings: SpeakerTimings;
  /** Opens a TCP connection; the number that its events will come under. */
  connect(connection: Connection): ConnectionId;
  release(id: ConnectionId): void;
  localOpen(): Open;
  /** Holds a valid OPEN against configuration and other connection: agreed, an error, or to give way. */
  judge(connection: Connection, open: Open): Negotiated | Notification | 'collision';
  /** Records a message that came or went. */
  received(connection: Connection, message: Uint8Array): void;
  sent(connection: Connection, message: Uint8Array): void;
  /** An UPDATE in Established; the error that ends the session, or null. */
  update(body: Uint8Array): Notification | null;
  routeRefresh(refresh: RouteRefresh): void;
  /** All bytes have gone out that had to wait. */
  writable(): void;
  changed(connection: Connection, change: ConnectionChange): void;
}

export interface ConnectionChange {
  readonly from: SessionState;
  readonly to: SessionState;
  readonly event: FsmEvent;
  /** What was sent or received with it. */
  readonly notification: Notification | null;
}

/** One TCP connection with its state machine, timers and stream. */
export class Connection {
  readonly #owner: ConnectionOwner;
  #origin: 'outgoing' | 'incoming' = 'outgoing';
  #state: SessionState = 'Idle';
  #id: ConnectionId | null = null;
  #local: Endpoint | null = null;
  #remote: Endpoint | null = null;
  #framer = new Framer();
  readonly #queue: SendQueue;
  #negotiated: Negotiated | null = null;
  #retryCounter = 0;
  #closeReason = '';
  /** Time to the first connect, in place of ConnectRetryTime. */
  #firstDelay: number | null = null;
  readonly #passive: boolean;

  /** What is left of the timers is for display as well. */
  readonly timers: ConnectionTimers;

  constructor(owner: ConnectionOwner, options: { readonly passive: boolean }) {
    this.#owner = owner;
    this.#passive = options.passive;
    this.timers = new ConnectionTimers(owner, (event) => this.handle(event));
    this.#queue = new SendQueue({
      host: owner.host,
      later: (delay, run) => owner.later(delay, run),
      sendHold: () => this.#sendHoldTime,
      expired: () => this.handle('SendHoldTimer_Expires'),
    });
  }

  /** Who opened the TCP connection. */
  get origin(): 'outgoing' | 'incoming' {
    return this.#origin;
  }

  /** Why the last TCP connection ended, in the host's words. */
  get closeReason(): string {
    return this.#closeReason;
  }

  get state(): SessionState {
    return this.#state;
  }

  get id(): ConnectionId | null {
    return this.#id;
  }

  get local(): Endpoint | null {
    return this.#local;
  }

  get remote(): Endpoint | null {
    return this.#remote;
  }

  get negotiated(): Negotiated | null {
    return this.#negotiated;
  }

  /** ConnectRetryCounter: errors since the last start. */
  get retryCounter(): number {
    return this.#retryCounter;
  }

  /** Whether bytes wait for room in the TCP send buffer. */
  get blocked(): boolean {
    return this.#queue.blocked;
  }

  /** Leaves Idle; `delay` (ms) is how long it only listens at first, null to connect at once. */
  start(how: 'ManualStart' | 'AutomaticStart', delay: number | null): void {
    this.#firstDelay = delay;
    this.handle(delay === null && !this.#passive ? how : `${how}_with_PassiveTcpEstablishment`);
  }

  /** A connection that the peer opened, in the place of one we were yet to open. */
  accept(id: ConnectionId, local: Endpoint, remote: Endpoint): void {
    this.#state = 'Active';
    this.#origin = 'incoming';
    this.#id = id;
    this.#local = local;
    this.#remote = remote;
    this.handle('TcpConnectionConfirmed');
  }

  tcpConnected(local: Endpoint, remote: Endpoint): void {
    this.#local = local;
    this.#remote = remote;
    this.handle('Tcp_CR_Acked');
  }

  tcpClosed(reason: string): void {
    this.#closeReason = reason;
    this.#forget();
    this.handle('TcpConnectionFails');
  }

  /** CEASE to the peer, with a word to its operator. */
  stop(how: 'shutdown' | 'reset', communication: string): void {
    const subcode = how === 'reset' ? CeaseError.administrativeReset : CeaseError.administrativeShutdown;
    this.handle('ManualStop', notification(ErrorCode.cease, subcode, shutdownCommunication(communication)));
  }

  /** CEASE for a reason of ours; the session comes up again. */
  cease(subcode: number): void {
    this.handle('AutomaticStop', notification(ErrorCode.cease, subcode));
  }

  /** Gives the TCP connection up, as if it had failed. */
  abandon(reason: string): void {
    if (this.#id === null) return;
    const id = this.#id;
    this.tcpClosed(reason);
    this.#owner.host.close(id, 'rst');
  }

  tcpWritable(): void {
    if (this.#id !== null && this.#queue.drain(this.#id)) this.#owner.writable();
  }

  tcpData(bytes: Uint8Array): void {
    const { host } = this.#owner;
    const { cause } = host;
    this.#framer.push(bytes);
    const stream = this.#framer;
    // The session may end, and even another begin, at any message.
    while (this.#framer === stream && this.#id !== null) {
      const framed = stream.next();
      if (framed === null) return;
      host.cause = cause;
      if (framed.ok) this.#message(framed.message);
      else this.handle('BGPHeaderErr', framed.error);
    }
  }

  #message(message: Uint8Array): void {
    this.#owner.received(this, message);
    const decoded = decodeMessage(message);
    switch (decoded.type) {
      case 'open':
        if (decoded.result.ok) this.#open(decoded.result.open);
        else this.handle('BGPOpenMsgErr', decoded.result.error);
        break;
      case 'keepalive':
        this.handle('KeepAliveMsg');
        break;
      case 'notification': {
        const version =
          decoded.notification.code === ErrorCode.openMessage && decoded.notification.subcode === 1;
        this.handle(version ? 'NotifMsgVerErr' : 'NotifMsg', decoded.notification);
        break;
      }
      case 'update': {
        const error = this.#state === 'Established' ? this.#owner.update(decoded.body) : null;
        if (error === null) this.handle('UpdateMsg');
        else this.handle('UpdateMsgErr', error);
        break;
      }
      case 'route-refresh':
        if (this.#state === 'Established') this.#owner.routeRefresh(decoded.refresh);
        this.handle('RouteRefreshMsg');
        break;
      case 'malformed':
        this.handle('UpdateMsgErr', notification(ErrorCode.routeRefresh, 1, message));
        break;
    }
  }

  #open(open: Open): void {
    const delayed = this.timers.delaysOpen;
    if (!delayed && this.#state !== 'OpenSent') {
      this.handle('BGPOpen');
      return;
    }
    const verdict = this.#owner.judge(this, open);
    if (verdict === 'collision') {
      this.handle('OpenCollisionDump');
    } else if ('code' in verdict) {
      this.handle('BGPOpenMsgErr', verdict);
    } else {
      this.#negotiated = verdict;
      if (verdict.maxMessage > MAX_MESSAGE) this.#framer.extend();
      this.handle(delayed ? 'BGPOpen_with_DelayOpenTimer_running' : 'BGPOpen');
    }
  }

  /** Sends a message, or queues what the TCP send buffer has no room for. */
  send(message: Uint8Array): void {
    const { host } = this.#owner;
    if (this.#id === null) return;
    const { cause } = host;
    this.#owner.sent(this, message);
    this.timers.sent();
    this.#queue.send(this.#id, message);
    host.cause = cause;
  }

  get #sendHoldTime(): number {
    const { timings } = this.#owner;
    const holdTime = this.#negotiated?.holdTime ?? timings.holdTime;
    return timings.sendHold ?? Math.max(SEND_HOLD, 2 * holdTime);
  }

  /** One event of the state machine; `error` is the NOTIFICATION that came with it or is to be sent for it. */
  handle(event: FsmEvent, error: Notification | null = null): void {
    const from = this.#state;
    const { next, actions } = transition(from, event, {
      delayOpen: (this.#owner.timings.delayOpen ?? 0) > 0 ? 'on' : 'off',
      sendNotificationWithoutOpen: 'off',
    });
    let carried = error;
    for (const action of actions) {
      if (action === 'send-notification') {
        carried = error ?? ownNotification(from, event);
        this.send(encodeNotification(carried));
      } else {
        this.#run(action);
      }
    }
    this.#state = next;
    if (next === 'Idle' || next === 'Active') this.#stopSession();
    if (next !== from || (from === 'Connect' && event === 'ConnectRetryTimer_Expires')) {
      this.#owner.changed(this, { from, to: next, event, notification: carried });
    }
  }

  #run(action: FsmAction): void {
    const { timings } = this.#owner;
    switch (action) {
      case 'reset-retry-counter':
        this.#retryCounter = 0;
        break;
      case 'count-retry':
        this.#retryCounter++;
        break;
      case 'start-connect-retry':
        if (!this.#passive) this.timers.startConnectRetry(this.#firstDelay ?? timings.connectRetry);
        this.#firstDelay = null;
        break;
      case 'stop-connect-retry':
        this.timers.stopConnectRetry();
        break;
      case 'start-delay-open':
        this.timers.startDelayOpen(timings.delayOpen ?? 0);
        break;
      case 'stop-delay-open':
        this.timers.stopDelayOpen();
        break;
      case 'connect':
        this.#origin = 'outgoing';
        this.#id = this.#owner.connect(this);
        break;
      case 'send-open':
        this.send(encodeOpen(this.#owner.localOpen()));
        break;
      case 'send-keepalive':
        // Behind bytes that cannot leave it would say nothing.
        if (!this.blocked) this.send(encodeKeepalive());
        break;
      case 'start-open-hold':
        this.timers.startHold(timings.startupHold ?? STARTUP_HOLD);
        break;
      case 'start-hold':
        this.timers.startHold(this.#negotiated?.holdTime ?? 0);
        break;
      case 'restart-hold':
        this.timers.received();
        break;
      case 'start-keepalive':
      case 'restart-keepalive':
        this.timers.startKeepalive(this.#negotiated?.keepalive ?? 0);
        break;
      case 'drop-connection':
        this.#drop();
        break;
      case 'send-notification':
        break;
    }
  }

  #drop(): void {
    if (this.#id === null) return;
    const id = this.#id;
    // Nothing more gets through to a peer that does not read.
    const heard = this.#state !== 'Connect' && !this.blocked;
    this.#forget();
    this.#owner.host.close(id, heard ? 'fin' : 'rst');
  }

  #forget(): void {
    if (this.#id !== null) this.#owner.release(this.#id);
    this.#id = null;
  }

  #stopSession(): void {
    if (this.#id !== null) return;
    this.#framer = new Framer();
    this.#queue.clear();
    this.#negotiated = null;
    this.timers.stopHoldAndKeepalive();
  }

  /** Ends it without a word or an event; another connection has taken its place. */
  discard(): void {
    this.timers.stopConnectRetry();
    this.timers.stopDelayOpen();
    this.#drop();
    this.#stopSession();
    this.#state = 'Idle';
  }
}

/** The NOTIFICATION of an event that brings none itself. */
function ownNotification(state: SessionState, event: FsmEvent): Notification {
  switch (event) {
    case 'HoldTimer_Expires':
      return notification(ErrorCode.holdTimerExpired, 0);
    case 'SendHoldTimer_Expires':
      return notification(ErrorCode.sendHoldTimerExpired, 0);
    case 'ManualStop':
      return notification(ErrorCode.cease, CeaseError.administrativeShutdown);
    case 'OpenCollisionDump':
      return notification(ErrorCode.cease, CeaseError.connectionCollision);
    case 'AutomaticStop':
      return notification(ErrorCode.cease, 0);
    default:
      return notification(ErrorCode.finiteStateMachine, unexpectedSubcode(state));
  }
}

/** Whether a message is counted for quiescence: KEEPALIVEs come and go for ever. */
export function isCounted(message: Uint8Array): boolean {
  return messageType(message) !== MessageType.keepalive;
}
