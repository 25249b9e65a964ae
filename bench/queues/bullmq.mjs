// BullMQ on Redis: node bullmq.mjs REDIS_SOCKET
import { require, seconds, serve, until } from './serve.mjs';

const { Queue, QueueEvents, Worker } = require('bullmq');
const Redis = require('ioredis');
const connection = { path: process.argv[2], maxRetriesPerRequest: null };
const queue = new Queue('bench', { connection });
const client = new Redis(process.argv[2]);
let worker, events;

async function run(count, concurrency, data, work) {
    await client.flushall();
    for (let done = 0; done < count; done += 1000)
        await queue.addBulk(Array.from({ length: Math.min(1000, count - done) }, () => ({ name: 'job', data })));
    const start = seconds();
    let completed = 0, failed = 0;
    const runner = new Worker('bench', work && (async (job) => {
        await client.set(`result:${job.id}`, await work(job.data));
    }) || (async () => {}), { connection, concurrency });
    runner.on('completed', () => completed++);
    runner.on('failed', () => failed++);
    await until(() => completed + failed === count);
    const took = seconds() - start;
    const counts = await queue.getJobCounts('completed', 'failed');
    await runner.close();
    if (counts.completed !== count) throw new Error(`${counts.completed} of ${count} were completed`);
    if (work && (await client.keys('result:*')).length !== count) throw new Error('results are missing');
    await client.flushall();
    return took;
}

serve({
    run,
    open: async () => {
        events = new QueueEvents('bench', { connection });
        worker = new Worker('bench', async () => {}, { connection });
        await Promise.all([events.waitUntilReady(), worker.waitUntilReady()]);
    },
    one: async () => (await queue.add('job', {})).waitUntilFinished(events),
    close: async () => { await worker.close(); await events.close(); },
});
