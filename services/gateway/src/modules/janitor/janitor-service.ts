import type { JanitorPassRecord, JanitorPassStore, JanitorTotal } from '@roentgen/database';
import { NotFoundError, newId, parseId, type Actor, type JanitorFinding, type JanitorPassId } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import { answer } from '../../graphql/payload.js';
import type { Repeatable } from '../repeatable.js';
import type { RunJanitorInput } from './janitor.input.js';
import type { RunJanitorPayload } from './janitor.type.js';

/** Passes of the janitor over one project. A coordinator makes them; here they are asked for and read. */
export class JanitorService {
  constructor(
    private readonly passes: JanitorPassStore,
    private readonly repeatable: Repeatable,
  ) {}

  run(actor: Actor, input: RunJanitorInput): Promise<RunJanitorPayload> {
    return answer(async () => {
      const { id } = await this.repeatable.once(actor, 'run_janitor', input, async (tx) => {
        const { projectId, tokenId: requestedBy } = actor;
        const id = newId('jan');
        await this.passes.request(tx, { id, projectId, requestedBy, mode: input.delete ? 'DELETE' : 'DRY_RUN' });
        return id;
      });
      return { pass: await this.read(actor, id) };
    });
  }

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string): Promise<JanitorPassRecord> {
    const passId = parseId('jan', id);
    const pass = await this.passes.find(actor.projectId, passId);
    if (pass === null) throw new NotFoundError(`There is no janitor pass ${passId} in this project.`, { janitorPassId: passId });
    return pass;
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<JanitorPassRecord>> {
    const page = await this.passes.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (pass) => pass,
      () => this.passes.count(actor.projectId),
    );
  }

  /** Of a pass that the caller was allowed to read. */
  totals(id: JanitorPassId): Promise<JanitorTotal[]> {
    return this.passes.totals([id]);
  }

  /** Of a pass that the caller was allowed to read. */
  async findings(id: JanitorPassId, args: PageArgs): Promise<Connection<JanitorFinding>> {
    const page = await this.passes.findings(id, pageRequest(args));
    return toConnection(
      page,
      (finding) => finding,
      async () => (await this.passes.totals([id])).reduce((sum, { count }) => sum + count, 0),
    );
  }
}
