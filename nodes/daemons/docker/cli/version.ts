/** Of Docker, whose words and ways are kept to. */
export const ENGINE_VERSION = '20.10.24';
export const API_VERSION = '1.41';
