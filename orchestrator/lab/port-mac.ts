/** MAC of a node's port, by the numbers of both: 02:52, so that it is locally administered. */
export function portMac(node: number, port: number): number {
  return 0x0252 * 2 ** 32 + node * 2 ** 16 + port;
}
