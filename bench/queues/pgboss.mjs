// pg-boss on PostgreSQL: node pgboss.mjs CONNECTION_STRING
//
// It polls, at the shortest every half second, and takes as many at a time as batchSize says;
// more loops beside each other are its way to more throughput.
import { require, seconds, serve, until } from './serve.mjs';

const PgBoss = require('pg-boss');
const { Pool } = require('pg');
const connectionString = process.argv[2];
const pool = new Pool({ connectionString });
const boss = new PgBoss({ connectionString, max: 20 });
boss.on('error', (error) => console.error(error.message));
await boss.start();
await pool.query('CREATE TABLE IF NOT EXISTS pgboss_result (id bigserial PRIMARY KEY, data bytea)');
await pool.query('ALTER TABLE pgboss_result ALTER data SET STORAGE EXTERNAL');
await boss.createQueue('bench');

const LOOPS = 4;
const completed = async () =>
    (await pool.query("SELECT count(*)::int AS n FROM pgboss.job WHERE name = 'bench' AND state = 'completed'")).rows[0].n;

async function run(count, concurrency, data, work) {
    await boss.deleteAllJobs?.('bench');
    await pool.query("DELETE FROM pgboss.job WHERE name = 'bench'");
    await pool.query('TRUNCATE pgboss_result');
    for (let done = 0; done < count; done += 1000)
        await boss.insert(Array.from({ length: Math.min(1000, count - done) }, () => ({ name: 'bench', data })));
    await pool.query('ANALYZE pgboss.job');
    const begun = seconds();
    let done = 0;
    const handle = async (jobs) => {
        if (work)
            await Promise.all(jobs.map(async (job) =>
                pool.query('INSERT INTO pgboss_result (data) VALUES ($1)', [await work(job.data)])));
        done += jobs.length;
    };
    // A loop that is done waits for its poll, so each takes much at a time.
    const batchSize = work ? 100 : 500;
    for (let i = 0; i < LOOPS; i++) await boss.work('bench', { batchSize, pollingIntervalSeconds: 0.5 }, handle);
    await until(() => done >= count);
    await until(async () => await completed() === count);
    const took = seconds() - begun;
    await boss.offWork('bench');
    if (work) {
        const { n } = (await pool.query('SELECT count(*)::int AS n FROM pgboss_result')).rows[0];
        if (n !== count) throw new Error(`${n} of ${count} results`);
    }
    return took;
}

let waiting;
serve({
    run,
    open: async () => { await boss.work('bench', { pollingIntervalSeconds: 0.5 }, async () => { waiting?.(); }); },
    one: async () => {
        const handled = new Promise((done) => { waiting = done; });
        const id = await boss.send('bench', {});
        await handled;
        await until(async () => (await boss.getJobById('bench', id)).state === 'completed', 1);
    },
    close: () => boss.offWork('bench'),
});
