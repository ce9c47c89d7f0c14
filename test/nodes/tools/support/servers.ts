import type { Netns } from '../../../../nodes/kernel/netns.ts';

/**
 * Servers of fixed behaviour, the same as those that the recorded sessions of the real tools have talked to: 80 answers, 81
 * closes, 82 cuts its answer off, 83 resets, 84 stays silent, 85 redirects to 80, 86 speaks another protocol, 87 has nothing,
 * 88 sends chunks.
 */
export function fixedServers(ns: Netns, host: string): void {
  const answering = (port: number, text: string) => {
    ns.listenTcp({ addr: 0, port }, (socket) => {
      socket.onData = () => {
        socket.send(Buffer.from(text));
        socket.close();
      };
    });
  };
  answering(
    80,
    'HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: keep-alive\r\n\r\nhello\n',
  );
  answering(81, '');
  answering(82, 'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhello\n');
  ns.listenTcp({ addr: 0, port: 83 }, (socket) => {
    socket.onData = () => socket.abort();
  });
  ns.listenTcp({ addr: 0, port: 84 }, () => {});
  answering(85, `HTTP/1.1 302 Found\r\nLocation: http://${host}:80/x\r\nContent-Length: 3\r\n\r\nno\n`);
  answering(86, 'SSH-2.0-OpenSSH\r\n');
  answering(87, 'HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n');
  answering(88, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\n\r\n');
}
