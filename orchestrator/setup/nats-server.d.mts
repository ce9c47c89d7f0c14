/** Path of a nats-server on PATH, in the system's folders or in the project's cache; null if there is none. */
export function findNatsServer(root: string): string | null;

/**
 * Finds nats-server, or fetches a private copy on Debian and its kin.
 * @throws Error that names the one command to run where that cannot be done.
 */
export function ensureNatsServer(root: string, say?: (text: string) => void): string;
