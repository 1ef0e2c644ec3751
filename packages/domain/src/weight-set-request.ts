import type { InputIssue } from './errors.js';
import { EFFICIENTNET_VARIANT_NAMES, parseVariantName, type EfficientNetVariant } from './recipe.js';
import { MAX_WEIGHT_SET_NAME_LENGTH, WEIGHT_LIBRARIES, type WeightLibrary } from './weights.js';

/** What a user says about weights that are to be imported; null or left out: told from the file. */
export interface WeightSetRequest {
  readonly name: string;
  readonly variant?: string | null | undefined;
  readonly library?: string | null | undefined;
  /** Of the file. */
  readonly sha256?: string | null | undefined;
}

/** A request as it is understood. */
export interface ReadWeightSetRequest {
  readonly name: string;
  readonly variant: EfficientNetVariant | null;
  readonly library: WeightLibrary | null;
  /** In small letters. */
  readonly sha256: string | null;
  /** Everything that is wrong; where there is anything, the rest means nothing. */
  readonly issues: readonly InputIssue[];
}

/** Looks at all that can be looked at without the file, so that nobody waits for a transfer to be told of a slip. */
export function readWeightSetRequest(request: WeightSetRequest): ReadWeightSetRequest {
  const name = request.name.trim();
  const variant = request.variant == null ? null : parseVariantName(request.variant);
  const library = WEIGHT_LIBRARIES.find((known) => known === request.library) ?? null;
  const sha256 = request.sha256?.toLowerCase() ?? null;
  const issues = [
    ...nameIssues(name),
    ...unknownWord('variant', request.variant, variant, EFFICIENTNET_VARIANT_NAMES),
    ...unknownWord('library', request.library, library, WEIGHT_LIBRARIES),
    ...(sha256 === null || /^[0-9a-f]{64}$/.test(sha256)
      ? []
      : [{ field: 'sha256', message: `"${sha256.slice(0, 80)}" is no SHA-256: expected 64 hex digits, or leave it out` }]),
  ];
  return { name, variant, library, sha256, issues };
}

function nameIssues(name: string): InputIssue[] {
  const issue = (message: string) => [{ field: 'name', message }];
  if (name === '' || name.length > MAX_WEIGHT_SET_NAME_LENGTH) {
    return issue(`takes 1 to ${MAX_WEIGHT_SET_NAME_LENGTH} characters, got ${name.length}`);
  }
  if (/\p{Cc}/u.test(name)) return issue('contains a control character');
  // A recipe names weights by name or id.
  return name.startsWith('wts_') ? issue(`"${name}" looks like an id: choose one that does not begin with wts_`) : [];
}

function unknownWord(field: string, given: string | null | undefined, parsed: string | null, words: readonly string[]): InputIssue[] {
  if (given == null || parsed !== null) return [];
  return [{ field, message: `"${given.slice(0, 100)}" is none of ${words.join(', ')}` }];
}

/** An http or https address; null for a text that is none, also for one whose path has a % without two hex digits behind it (RFC 3986 §2.1). */
export function readWebAddress(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return /^https?:$/.test(url.protocol) && !/%(?![0-9a-f]{2})/i.test(url.pathname) ? url : null;
}
