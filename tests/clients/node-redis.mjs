// What an ordinary program does with node-redis and its default options. Prints "ok", or throws.
import assert from 'node:assert/strict';
import { createClient } from 'redis';

const client = createClient({ url: `redis://127.0.0.1:${process.argv[2]}` });
client.on('error', (err) => { console.error('client error:', err); process.exit(1); });
await client.connect();

assert.equal(await client.set('node-redis:a', '1'), 'OK');
assert.equal(await client.get('node-redis:a'), '1');
assert.equal(await client.get('node-redis:none'), null);
assert.equal(await client.set('node-redis:a', '2', { condition: 'NX' }), null);
assert.equal(await client.mSet(['node-redis:b', '2', 'node-redis:c', '3']), 'OK');
assert.deepEqual(await client.mGet(['node-redis:a', 'node-redis:none', 'node-redis:c']), ['1', null, '3']);
assert.equal(await client.incrBy('node-redis:a', 41), 42);
assert.deepEqual(await client.multi().set('node-redis:d', 'x').get('node-redis:d').incr('node-redis:a').exec(), ['OK', 'x', 43]);
assert.deepEqual(await Promise.all(Array.from({ length: 100 }, (_, i) => client.set(`node-redis:p${i}`, `${i}`))), Array(100).fill('OK'));
let seen = 0;
for await (const keys of client.scanIterator({ MATCH: 'node-redis:p*' })) seen += keys.length;
assert.equal(seen, 100);
await assert.rejects(client.sendCommand(['INCR', 'node-redis:d']), /value is not an integer/);
assert.equal(await client.ping(), 'PONG');
await client.close();
console.log('ok');
