import test from 'ava';
import { type FsmEvent, type FsmOptions, type SessionState, transition } from '../../../protocols/bgp/fsm.ts';

const PLAIN: FsmOptions = { delayOpen: 'off', sendNotificationWithoutOpen: 'off' };
const DELAYED: FsmOptions = { ...PLAIN, delayOpen: 'on' };

const STATES: readonly SessionState[] = [
  'Idle',
  'Connect',
  'Active',
  'OpenSent',
  'OpenConfirm',
  'Established',
];

/**
 * RFC 4271 §8.2.2: the next state for each event, in the order of STATES. I Idle, C Connect, A Active, S OpenSent,
 * F OpenConfirm, E Established. `!`: with a NOTIFICATION.
 */
const TABLE: readonly (readonly [FsmEvent, string])[] = [
  ['ManualStart', 'C C A S F E'],
  ['AutomaticStart', 'C C A S F E'],
  ['ManualStart_with_PassiveTcpEstablishment', 'A C A S F E'],
  ['AutomaticStart_with_PassiveTcpEstablishment', 'A C A S F E'],
  ['ManualStop', 'I I I I! I! I!'],
  ['AutomaticStop', 'I I I I! I! I!'],
  ['ConnectRetryTimer_Expires', 'I C C I! I! I!'],
  ['HoldTimer_Expires', 'I I I I! I! I!'],
  ['KeepaliveTimer_Expires', 'I I I I! F E'],
  ['DelayOpenTimer_Expires', 'I S S I! I! I!'],
  ['Tcp_CR_Acked', 'I S S S F E'],
  ['TcpConnectionConfirmed', 'I S S S F E'],
  ['TcpConnectionFails', 'I A I A I I'],
  ['BGPOpen', 'I I I F I! I!'],
  ['BGPOpen_with_DelayOpenTimer_running', 'I F F I! I! I!'],
  ['BGPHeaderErr', 'I I I I! I! I!'],
  ['BGPOpenMsgErr', 'I I I I! I! I!'],
  ['OpenCollisionDump', 'I I I I! I! I!'],
  ['NotifMsgVerErr', 'I I I I I I'],
  ['NotifMsg', 'I I I I I I'],
  ['KeepAliveMsg', 'I I I I! E E'],
  ['UpdateMsg', 'I I I I! I! E'],
  ['UpdateMsgErr', 'I I I I! I! I!'],
  ['RouteRefreshMsg', 'I I I I! I! E'],
];

const LETTER: Readonly<Record<string, SessionState>> = {
  I: 'Idle',
  C: 'Connect',
  A: 'Active',
  S: 'OpenSent',
  F: 'OpenConfirm',
  E: 'Established',
};

for (const [event, row] of TABLE) {
  test(`${event} in every state`, (t) => {
    for (const [i, cell] of row.split(' ').entries()) {
      const state = STATES[i]!;
      const { next, actions } = transition(state, event, PLAIN);
      t.is(next, LETTER[cell.charAt(0)]!, state);
      t.is(actions.includes('send-notification'), cell.endsWith('!'), `${state} NOTIFICATION`);
      // Whatever leaves a state with a connection for Idle drops it and stops its timers.
      if (next === 'Idle' && state !== 'Idle') {
        t.true(actions.includes('drop-connection'), state);
        t.true(actions.includes('stop-connect-retry'), state);
      }
    }
  });
}

test('a start connects and runs the ConnectRetryTimer, a passive one only waits', (t) => {
  t.deepEqual(transition('Idle', 'ManualStart', PLAIN).actions, [
    'reset-retry-counter',
    'start-connect-retry',
    'connect',
  ]);
  t.deepEqual(transition('Idle', 'ManualStart_with_PassiveTcpEstablishment', PLAIN).actions, [
    'reset-retry-counter',
    'start-connect-retry',
  ]);
});

test('TCP sends the OPEN and holds for long, or waits for the DelayOpenTimer', (t) => {
  for (const state of ['Connect', 'Active'] as const) {
    t.deepEqual(transition(state, 'Tcp_CR_Acked', PLAIN).actions, [
      'stop-connect-retry',
      'send-open',
      'start-open-hold',
    ]);
    const delayed = transition(state, 'TcpConnectionConfirmed', DELAYED);
    t.is(delayed.next, state);
    t.deepEqual(delayed.actions, ['stop-connect-retry', 'start-delay-open']);
    t.deepEqual(transition(state, 'DelayOpenTimer_Expires', DELAYED).actions, [
      'stop-connect-retry',
      'stop-delay-open',
      'send-open',
      'start-open-hold',
    ]);
    t.deepEqual(transition(state, 'BGPOpen_with_DelayOpenTimer_running', DELAYED).actions, [
      'send-open',
      'stop-connect-retry',
      'stop-delay-open',
      'send-keepalive',
      'start-keepalive',
      'start-hold',
    ]);
  }
});

test('a silent connect is given up and tried again when the ConnectRetryTimer expires', (t) => {
  const { actions } = transition('Connect', 'ConnectRetryTimer_Expires', PLAIN);
  t.deepEqual(actions, ['drop-connection', 'stop-delay-open', 'start-connect-retry', 'connect']);
});

test('the OPEN is answered by a KEEPALIVE, and the hold time negotiated takes effect', (t) => {
  const { actions } = transition('OpenSent', 'BGPOpen', PLAIN);
  t.deepEqual(actions, [
    'stop-connect-retry',
    'stop-delay-open',
    'send-keepalive',
    'start-keepalive',
    'start-hold',
  ]);
});

test('KEEPALIVE and UPDATE restart the hold timer', (t) => {
  for (const event of ['KeepAliveMsg', 'UpdateMsg', 'RouteRefreshMsg'] as const) {
    t.deepEqual(transition('Established', event, PLAIN).actions, ['restart-hold']);
  }
  t.deepEqual(transition('OpenConfirm', 'KeepAliveMsg', PLAIN).actions, ['restart-hold']);
});

test('errors count, a stop resets the count', (t) => {
  t.true(transition('Established', 'HoldTimer_Expires', PLAIN).actions.includes('count-retry'));
  const stop = transition('Established', 'ManualStop', PLAIN).actions;
  t.true(stop.includes('reset-retry-counter'));
  t.false(stop.includes('count-retry'));
});

test('before the OPEN a NOTIFICATION goes out only if that is wanted', (t) => {
  const wanted: FsmOptions = { ...PLAIN, sendNotificationWithoutOpen: 'on' };
  t.true(transition('Active', 'BGPHeaderErr', wanted).actions.includes('send-notification'));
});
