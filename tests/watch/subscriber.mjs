// A subscriber as programs with ioredis are: it prints messages. The library connects and subscribes again by itself.
import { Redis } from 'ioredis';

const [port, channel] = process.argv.slice(-2);
const subscriber = new Redis(Number(port), '127.0.0.1');
subscriber.on('error', () => {});
subscriber.on('message', (_, message) => console.log(message));
await subscriber.subscribe(channel);
