import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import { WeightsFileError } from '../errors.js';

/**
 * Addresses that are not of the public internet: this machine, its network, tests and multicast (IANA special-purpose registries), former local
 * ones (RFC 3879), and those that stand for an IPv4 address, which may be any: NAT64 (RFC 6052), SIIT (RFC 2765), 6to4 and its relays.
 */
const PRIVATE = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  PRIVATE.addSubnet(net, prefix, 'ipv4');
}
for (const [net, prefix] of [
  ['::', 96],
  ['::ffff:0:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const) {
  PRIVATE.addSubnet(net, prefix, 'ipv6');
}

/** Whether an IP address is outside of the public internet. An IPv4 address in IPv6 form counts as what it is, what is no address as private. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  return family === 0 || PRIVATE.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/**
 * A `lookup` for sockets that refuses names of private addresses. It looks at the very addresses that are then connected to: a name that changes
 * between a check and the connection gains nothing.
 */
export function publicLookup(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const refused = addresses.find(({ address }) => isPrivateAddress(address));
    if (refused) return callback(privateAddress(hostname, refused.address), []);
    const [first] = addresses;
    if (options.all === true || !first) return callback(null, addresses);
    callback(null, first.address, first.family);
  });
}

/** Sockets do not look up what is an address already. @throws WeightsFileError */
export function assertPublicHost(hostname: string): void {
  const address = hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0 && isPrivateAddress(address)) throw privateAddress(hostname, address);
}

function privateAddress(hostname: string, address: string): WeightsFileError {
  return new WeightsFileError('WEIGHTS_FETCH', {
    value: hostname === address ? `the address ${address}` : `${hostname}, which is ${address}`,
    rule: 'only public addresses are fetched from',
    fix: 'Fetch the file by other means and import it from disk, or allow private addresses where you trust everyone who may import.',
  });
}
