import { expect, test } from 'vitest';
import { runtimeFiles } from './runtime-files.js';

const MAPS = `7f00-7f01 r-xp 00000000 fe:00 123   /usr/lib/x86_64-linux-gnu/libc.so.6
7f02-7f03 r--p 00000000 fe:00 124   /usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30
7f03-7f04 r-xp 00001000 fe:00 124   /usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30
7f05-7f06 r-xp 00000000 fe:00 125   /opt/with space/libgcc_s.so.1
7f07-7f08 rw-p 00000000 00:00 0     [heap]
`;

test("Node goes along with the C++ libraries that it runs with, under the names that it asks for, and not with the machine's C library", () => {
  expect(runtimeFiles('/usr/bin/node', MAPS)).toEqual({
    node: '/usr/bin/node',
    'lib/libstdc++.so.6': '/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30',
    'lib/libgcc_s.so.1': '/opt/with space/libgcc_s.so.1',
  });
});

test('a Node that has them built in goes alone', () => {
  expect(runtimeFiles('/opt/node', '')).toEqual({ node: '/opt/node' });
});
