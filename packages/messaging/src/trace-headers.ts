import { headers, type MsgHdrs } from 'nats';
import { activeTrace, type TraceParent } from '@roentgen/telemetry';

/** Names of W3C Trace Context. */
const PARENT = 'traceparent';
const STATE = 'tracestate';

/** What the sender works on at the moment, as headers; none while nothing is traced. */
export function traceHeaders(): { headers: MsgHdrs } | undefined {
  const trace = activeTrace();
  if (trace === null) return undefined;
  const carried = headers();
  carried.set(PARENT, trace.traceparent);
  if (trace.tracestate !== undefined) carried.set(STATE, trace.tracestate);
  return { headers: carried };
}

/** What the sender was working on; null when it does not tell. */
export function traceOf(carried: MsgHdrs | undefined): TraceParent | null {
  const traceparent = carried?.get(PARENT) ?? '';
  if (traceparent === '') return null;
  const tracestate = carried?.get(STATE) ?? '';
  return { traceparent, ...(tracestate !== '' && { tracestate }) };
}
