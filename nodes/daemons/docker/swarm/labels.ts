/** Labels that dockerd puts on the containers of a service's tasks. */
export const NODE_LABEL = 'com.docker.swarm.node.id';
export const SERVICE_LABEL = 'com.docker.swarm.service.id';
export const SERVICE_NAME_LABEL = 'com.docker.swarm.service.name';
export const TASK_LABEL = 'com.docker.swarm.task.id';
export const TASK_NAME_LABEL = 'com.docker.swarm.task.name';
