/** What iproute2 would answer to a request that cannot be done. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
}
