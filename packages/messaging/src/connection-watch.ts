import { Events, type NatsConnection } from 'nats';
import type { Logger } from '@roentgen/logger';

type Listener = () => void;

/** Knows whether the connection stands, logs what the broker reports, and tells who waits when the connection goes or comes back. */
export class ConnectionWatch {
  private isConnected = true;
  private readonly reconnectListeners = new Set<Listener>();
  private readonly disconnectListeners = new Set<Listener>();

  constructor(
    private readonly connection: NatsConnection,
    private readonly logger: Logger,
  ) {
    void this.watch();
  }

  get connected(): boolean {
    return this.isConnected && !this.connection.isClosed();
  }

  onReconnect(listener: Listener): () => void {
    this.reconnectListeners.add(listener);
    return () => void this.reconnectListeners.delete(listener);
  }

  /** Runs what waits for an answer of the broker; once the connection is gone no answer comes, so it fails then. @throws what `gone` makes */
  async whileConnected<T>(act: () => Promise<T>, gone: () => Error): Promise<T> {
    if (!this.connected) throw gone();
    let onDisconnect: Listener = () => undefined;
    const disconnected = new Promise<never>((_, reject) => (onDisconnect = () => reject(gone())));
    this.disconnectListeners.add(onDisconnect);
    try {
      return await Promise.race([act(), disconnected]);
    } finally {
      this.disconnectListeners.delete(onDisconnect);
    }
  }

  private async watch(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === Events.Disconnect) this.noteDisconnect(status.data);
      else if (status.type === Events.Reconnect) this.noteReconnect(status.data);
      else if (status.type === Events.Error)
        this.logger.error({ code: status.data, denied: status.permissionContext }, 'the broker reported an error');
    }
  }

  private noteDisconnect(server: unknown): void {
    if (this.connected) this.logger.warn({ server }, 'lost the connection to NATS; reconnecting');
    this.isConnected = false;
    for (const listener of [...this.disconnectListeners]) listener();
  }

  private noteReconnect(server: unknown): void {
    this.isConnected = true;
    this.logger.info({ server }, 'reconnected to NATS');
    // The client sent its subscriptions again; only a flush proves that the broker has them.
    this.connection.flush().then(
      () => [...this.reconnectListeners].forEach((listener) => listener()),
      (error: unknown) => this.logger.debug({ err: error }, 'the connection went again'),
    );
  }
}
