export * from './codec.js';
export * from './define-message.js';
export * from './messages/gateway-messages.js';
export * from './messages/work-messages.js';
export * from './messages/worker-messages.js';
export * from './permissions.js';
