// graphile-worker on PostgreSQL: node graphile.mjs CONNECTION_STRING
//
// A local queue, and batches of ends, are what its documentation recommends for throughput
// (worker.graphile.org/docs/performance#batching); for one job at a time neither is used.
import { require, seconds, serve, until } from './serve.mjs';

const { Logger, makeWorkerUtils, run: start } = require('graphile-worker');
const { Pool } = require('pg');
const connectionString = process.argv[2];
const logger = new Logger(() => () => {});
const pool = new Pool({ connectionString });
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
await pool.query('CREATE TABLE IF NOT EXISTS graphile_result (id bigserial PRIMARY KEY, data bytea)');
await pool.query('ALTER TABLE graphile_result ALTER data SET STORAGE EXTERNAL');

const left = async () => (await pool.query('SELECT count(*)::int AS n FROM graphile_worker._private_jobs')).rows[0].n;
let runner, waiting;

async function run(count, concurrency, data, work) {
    await pool.query('TRUNCATE graphile_worker._private_jobs, graphile_result');
    await pool.query(`SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
        SELECT json_populate_record(NULL::graphile_worker.job_spec, json_build_object('identifier', 'job', 'payload', $1::json))
        FROM generate_series(1, $2::int)))`, [data, count]);
    await pool.query('ANALYZE graphile_worker._private_jobs');
    const begun = seconds();
    let done = 0;
    const job = work ? async (payload) => {
        await pool.query('INSERT INTO graphile_result (data) VALUES ($1)', [await work(payload)]);
        done++;
    } : async () => { done++; };
    const own = await start({ connectionString, concurrency, logger, taskList: { job }, noHandleSignals: true,
        preset: { worker: { localQueue: { size: work ? concurrency + 1 : 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
                            maxPoolSize: concurrency + 4, concurrentJobs: concurrency } } });
    await until(() => done >= count);
    await until(async () => await left() === 0);
    const took = seconds() - begun;
    await own.stop();
    if (work) {
        const { n } = (await pool.query('SELECT count(*)::int AS n FROM graphile_result')).rows[0];
        if (n !== count) throw new Error(`${n} of ${count} results`);
    }
    return took;
}

serve({
    run,
    open: async () => {
        runner = await start({ connectionString, concurrency: 1, logger, taskList: { job: async () => {} }, noHandleSignals: true });
        runner.events.on('job:complete', () => waiting?.());
    },
    one: () => new Promise((done) => { waiting = done; utils.addJob('job', {}); }),
    close: () => runner.stop(),
});
