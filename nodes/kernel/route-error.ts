/** What rtnetlink refuses of a route, in its words. */
export class RouteError extends Error {
  override readonly name = 'RouteError';
}
