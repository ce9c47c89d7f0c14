import type { Netns } from '../../../../nodes/kernel/netns.ts';

/** What a client has got so far. */
export interface Client {
  text: string;
  end: 'open' | 'peer-closed' | 'closed' | 'reset' | 'refused' | 'timeout' | 'unreachable' | 'aborted';
  send(text: string): void;
  close(): void;
}

/** Connects, sends, and collects what comes. */
export function connect(ns: Netns, dst: number, port: number, request: string): Client {
  const socket = ns.connectTcp({ src: 0, dst, port });
  const client: Client = {
    text: '',
    end: 'open',
    send: (text) => void socket.send(Buffer.from(text, 'latin1')),
    close: () => socket.close(),
  };
  socket.onData = (bytes) => {
    client.text += Buffer.from(bytes).toString('latin1');
  };
  socket.onPeerClosed = () => {
    client.end = 'peer-closed';
    socket.close();
  };
  socket.onClosed = (reason) => {
    if (client.end === 'open') client.end = reason;
  };
  if (request !== '') client.send(request);
  return client;
}
