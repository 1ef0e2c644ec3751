import { promisify } from 'node:util';
import type { LookupAddress } from 'node:dns';
import { expect, test } from 'vitest';
import { assertPublicHost, isPrivateAddress, publicLookup } from './address-guard.js';

/** First and last address of each range, and the public ones beside it; a dash where the neighbour is another range or none. */
test.each([
  ['this network', '0.0.0.0', '0.255.255.255', '-', '1.0.0.0'],
  ['private networks', '10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
  ['shared by carriers', '100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
  ['this machine', '127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
  ['link-local, with clouds’ metadata', '169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
  ['private networks', '172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
  ['protocol assignments', '192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
  ['documentation', '192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
  ['6to4 relays', '192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
  ['private networks', '192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
  ['benchmarks', '198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
  ['documentation', '198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
  ['documentation', '203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
  ['multicast and reserved', '224.0.0.0', '255.255.255.255', '223.255.255.255', '-'],
  ['this machine, and IPv4-compatible', '::', '::ffff:ffff', '-', '::1:0:0'],
  ['IPv4-mapped', '::ffff:10.0.0.0', '::ffff:10.255.255.255', '::ffff:9.255.255.255', '::ffff:11.0.0.0'],
  ['IPv4-translated', '::ffff:0:0.0.0.0', '::ffff:0:255.255.255.255', '::fffe:ffff:ffff:ffff', '::ffff:1:0:0'],
  ['NAT64', '64:ff9b::', '64:ff9b::255.255.255.255', '64:ff9a:ffff::', '64:ff9b::1:0:0'],
  ['local NAT64', '64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', '64:ff9b:0:ffff::', '64:ff9b:2::'],
  ['discarded', '100::', '100::ffff:ffff:ffff:ffff', 'ff:ffff::', '100:0:0:1::'],
  ['protocol assignments, Teredo', '2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2000:ffff::', '2001:200::'],
  ['documentation', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db7:ffff::', '2001:db9::'],
  ['6to4', '2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:ffff::', '2003::'],
  ['documentation', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', '3ffe:ffff::', '3fff:1000::'],
  ['segment routing', '5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '5eff:ffff::', '5f01::'],
  ['unique local', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fbff:ffff::', 'fe00::'],
  ['link-local', 'fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe7f:ffff::', '-'],
  ['site-local', 'fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '-', '-'],
  ['multicast', 'ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '-', '-'],
])('%s (%s to %s) is not of the public internet, its neighbours %s and %s are', (_, first, last, before, after) => {
  for (const address of [first, last]) expect(isPrivateAddress(address), address).toBe(true);
  for (const address of [before, after]) if (address !== '-') expect(isPrivateAddress(address), address).toBe(false);
});

test.each([
  '127.0.0.1',
  '169.254.169.254',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:0:7f00:1',
  '64:ff9b::a9fe:a9fe',
  'fe80::1%lo',
])('%s is private however it is written', (address) => {
  expect(isPrivateAddress(address)).toBe(true);
});

test.each(['1.1.1.1', '2606:4700::1111', '2a00:1450::1', '::ffff:1.1.1.1'])('%s is public', (address) => {
  expect(isPrivateAddress(address)).toBe(false);
});

test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '::g'])('%j, which is no address, is none that may be fetched from', (text) => {
  expect(isPrivateAddress(text)).toBe(true);
});

test('a host that is an address is looked at before anything connects, one that is a name when it is looked up', async () => {
  for (const host of ['10.0.0.1', '[::1]', '[fec0::1]', '[::ffff:0:127.0.0.1]']) {
    expect(() => assertPublicHost(host), host).toThrow('only public addresses are fetched from');
  }
  for (const host of ['1.1.1.1', '[2606:4700::1111]', 'example.org']) expect(() => assertPublicHost(host), host).not.toThrow();
  const lookup = promisify<string, object, string | LookupAddress[]>(publicLookup);
  await expect(lookup('localhost', {})).rejects.toThrow(/localhost, which is (127\.0\.0\.1|::1): only public addresses/);
  await expect(lookup('localhost', { all: true })).rejects.toMatchObject({ code: 'WEIGHTS_FETCH' });
  await expect(lookup(`${'x'.repeat(300)}.invalid`, {})).rejects.toMatchObject({ syscall: 'getaddrinfo' });
  // What is looked up as it is needs no server.
  expect(await lookup('1.1.1.1', {})).toBe('1.1.1.1');
  expect(await lookup('1.1.1.1', { all: true })).toEqual([{ address: '1.1.1.1', family: 4 }]);
});
