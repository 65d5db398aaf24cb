// What an ordinary program does with ioredis and its default options. Prints "ok", or throws.
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';

const client = new Redis(Number(process.argv[2]), '127.0.0.1');
client.on('error', (err) => { console.error('client error:', err); process.exit(1); });
await new Promise((resolve) => client.once('ready', resolve));

assert.equal(await client.set('ioredis:a', '1'), 'OK');
assert.equal(await client.get('ioredis:a'), '1');
assert.equal(await client.get('ioredis:none'), null);
assert.equal(await client.set('ioredis:a', '2', 'NX'), null);
assert.equal(await client.mset('ioredis:b', '2', 'ioredis:c', '3'), 'OK');
assert.deepEqual(await client.mget('ioredis:a', 'ioredis:none', 'ioredis:c'), ['1', null, '3']);
assert.equal(await client.incrby('ioredis:a', 41), 42);
assert.deepEqual(await client.multi().set('ioredis:d', 'x').get('ioredis:d').incr('ioredis:a').exec(),
  [[null, 'OK'], [null, 'x'], [null, 43]]);
const pipeline = client.pipeline();
for (let i = 0; i < 100; i++) pipeline.set(`ioredis:p${i}`, `${i}`);
assert.ok((await pipeline.exec()).every(([err, reply]) => err === null && reply === 'OK'));
await assert.rejects(client.incr('ioredis:d'), /value is not an integer/);
assert.equal(await client.ping(), 'PONG');
await client.quit();
console.log('ok');
