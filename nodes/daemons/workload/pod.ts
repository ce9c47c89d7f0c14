import type { Netns } from '../../kernel/netns.ts';
import type { PodSpec } from '../../store.ts';
import { Workload } from '../workload.ts';
import { type RunningWorkload, startWorkload } from './start.ts';

/** What a pod runs that does not say what: HTTP at 80 and 8080. */
const IMAGE = 'echoserver';
const PORTS = [{ port: 80, protocol: 'tcp' }] as const;

/** Starts the workload of a pod, and the echo that probes ask. */
export function startPodWorkload(ns: Netns, pod: PodSpec): RunningWorkload {
  const name = `${pod.namespace}/${pod.name}`;
  const echo = new Workload(ns, { uid: pod.uid, name });
  const servers = startWorkload(ns, {
    name,
    uid: pod.uid,
    hostname: pod.name,
    image: IMAGE,
    expose: PORTS,
  });
  return {
    close: () => {
      echo.close();
      servers.close();
    },
  };
}
