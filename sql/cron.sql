-- Cron expressions: vectors from crontab(5) and cron(8) of Vixie's cron as Debian has it, and
-- from what pg_cron adds.  Only what comes out otherwise is shown.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
SET timezone = 'Asia/Tokyo';  -- the session's has no say

CREATE TEMP TABLE vector (cron text, after timestamptz, zone text, expected timestamptz);
INSERT INTO vector VALUES
    -- every minute is after the one that it is
    ('* * * * *', '2026-01-01 00:00:00Z', 'UTC', '2026-01-01 00:01Z'),
    ('* * * * *', '2026-01-01 00:00:59.9Z', 'UTC', '2026-01-01 00:01Z'),
    ('  *  *	* * *  ', '2026-01-01 00:00:00Z', 'UTC', '2026-01-01 00:01Z'),
    -- steps, ranges, lists
    ('*/15 * * * *', '2026-01-01 00:14Z', 'UTC', '2026-01-01 00:15Z'),
    ('*/15 * * * *', '2026-01-01 23:45Z', 'UTC', '2026-01-02 00:00Z'),
    ('*/30 * * * *', '2026-01-01 00:30Z', 'UTC', '2026-01-01 01:00Z'),
    ('10-50/20 * * * *', '2026-01-01 00:30Z', 'UTC', '2026-01-01 00:50Z'),
    ('10-50/20 * * * *', '2026-01-01 00:50Z', 'UTC', '2026-01-01 01:10Z'),
    ('*/45 * * * *', '2026-01-01 00:45Z', 'UTC', '2026-01-01 01:00Z'),
    ('*/100 * * * *', '2026-01-01 00:45Z', 'UTC', '2026-01-01 01:00Z'),
    ('1,2,3,59 * * * *', '2026-01-01 00:03Z', 'UTC', '2026-01-01 00:59Z'),
    ('0 23-23 * * *', '2026-01-01 00:00Z', 'UTC', '2026-01-01 23:00Z'),
    -- every day at two
    ('0 2 * * *', '2026-01-01 01:59:59Z', 'UTC', '2026-01-01 02:00Z'),
    ('0 2 * * *', '2026-01-01 02:00Z', 'UTC', '2026-01-02 02:00Z'),
    ('0 2 * * *', '2026-12-31 02:00Z', 'UTC', '2027-01-01 02:00Z'),
    -- names, in any case
    ('5,35 9-17 * * mon-fri', '2026-01-02 17:35Z', 'UTC', '2026-01-05 09:05Z'),
    ('0 12 * JAN,Jul MON', '2026-01-27 00:00Z', 'UTC', '2026-07-06 12:00Z'),
    ('0 0 1 feb-apr/2 *', '2026-02-02 00:00Z', 'UTC', '2026-04-01 00:00Z'),
    -- Sunday is 0 and 7
    ('0 0 * * 7', '2026-01-01 00:00Z', 'UTC', '2026-01-04 00:00Z'),
    ('0 0 * * 0', '2026-01-01 00:00Z', 'UTC', '2026-01-04 00:00Z'),
    ('0 0 * * 5-7', '2026-01-04 00:00Z', 'UTC', '2026-01-09 00:00Z'),
    ('0 0 * * 6,7', '2026-01-03 00:00Z', 'UTC', '2026-01-04 00:00Z'),
    -- day and weekday: either is enough, unless one of them begins with *
    ('0 0 13 * fri', '2026-02-01 00:00Z', 'UTC', '2026-02-06 00:00Z'),
    ('0 0 13 * fri', '2026-02-06 00:00Z', 'UTC', '2026-02-13 00:00Z'),
    ('0 0 13 * fri', '2026-04-10 00:00Z', 'UTC', '2026-04-13 00:00Z'),
    ('30 4 1,15 * 5', '2026-01-02 04:30Z', 'UTC', '2026-01-09 04:30Z'),
    ('30 4 1,15 * 5', '2026-01-09 04:30Z', 'UTC', '2026-01-15 04:30Z'),
    ('0 0 */2 * sun', '2026-03-01 00:00Z', 'UTC', '2026-03-15 00:00Z'),
    ('0 0 1 * */2', '2026-01-01 00:00Z', 'UTC', '2026-02-01 00:00Z'),
    -- months of different lengths, leap years
    ('0 0 31 * *', '2026-01-31 00:00Z', 'UTC', '2026-03-31 00:00Z'),
    ('0 0 29 2 *', '2026-03-01 00:00Z', 'UTC', '2028-02-29 00:00Z'),
    ('0 0 29 2 *', '2096-03-01 00:00Z', 'UTC', '2104-02-29 00:00Z'),
    ('0 0 $ * *', '2026-02-01 00:00Z', 'UTC', '2026-02-28 00:00Z'),
    ('0 0 $ * *', '2028-02-01 00:00Z', 'UTC', '2028-02-29 00:00Z'),
    ('0 0 $ * *', '2026-04-30 00:00Z', 'UTC', '2026-05-31 00:00Z'),
    ('0 0 1,$ * *', '2026-04-01 00:00Z', 'UTC', '2026-04-30 00:00Z'),
    ('0 0 30 2 *', '2026-01-01 00:00Z', 'UTC', NULL),
    ('0 0 31 4,6,9,11 *', '2026-01-01 00:00Z', 'UTC', NULL),
    -- nicknames
    ('@hourly', '2026-01-01 00:00Z', 'UTC', '2026-01-01 01:00Z'),
    ('@daily', '2026-01-01 00:00Z', 'UTC', '2026-01-02 00:00Z'),
    ('@midnight', '2026-01-01 00:00Z', 'UTC', '2026-01-02 00:00Z'),
    ('@weekly', '2026-01-01 00:00Z', 'UTC', '2026-01-04 00:00Z'),
    ('@monthly', '2026-01-01 00:00Z', 'UTC', '2026-02-01 00:00Z'),
    ('@yearly', '2026-01-01 00:00Z', 'UTC', '2027-01-01 00:00Z'),
    ('@Annually', '2026-01-01 00:00Z', 'UTC', '2027-01-01 00:00Z'),
    -- pg_cron's seconds
    ('30 seconds', '2026-01-01 00:00:07Z', 'UTC', '2026-01-01 00:00:37Z'),
    ('1 second', '2026-01-01 00:00:07Z', 'UTC', '2026-01-01 00:00:08Z'),
    ('59 Seconds', '2026-01-01 00:00:07Z', 'UTC', '2026-01-01 00:01:06Z'),
    -- zones
    ('0 0 * * *', '2026-01-01 00:00Z', 'Asia/Kathmandu', '2026-01-01 18:15Z'),
    ('0 2 * * *', '2026-07-01 00:00Z', 'America/New_York', '2026-07-01 06:00Z'),
    ('0 2 * * *', '2026-01-01 00:00Z', 'America/New_York', '2026-01-01 07:00Z'),
    ('0 0 1 1 *', '2026-12-31 12:00Z', 'Pacific/Auckland', '2027-12-31 11:00Z'),
    -- the clock is put forward: a time of day that is skipped comes right after, once
    ('30 2 * * *', '2026-03-07 12:00Z', 'America/New_York', '2026-03-08 07:00Z'),
    ('30 2 * * *', '2026-03-08 07:00Z', 'America/New_York', '2026-03-09 06:30Z'),
    ('0,30 2 * * *', '2026-03-07 12:00Z', 'America/New_York', '2026-03-08 07:00Z'),
    ('0,30 2 * * *', '2026-03-08 07:00Z', 'America/New_York', '2026-03-09 06:00Z'),
    ('0 3 * * *', '2026-03-07 12:00Z', 'America/New_York', '2026-03-08 07:00Z'),
    ('15 2 * * sun', '2026-03-02 00:00Z', 'America/New_York', '2026-03-08 07:00Z'),
    ('30 2 * * *', '2026-03-28 12:00Z', 'Europe/Berlin', '2026-03-29 01:00Z'),
    -- half an hour only
    ('15 2 * * *', '2026-10-03 12:00Z', 'Australia/Lord_Howe', '2026-10-03 15:30Z'),
    ('15 2 * * *', '2026-10-03 15:30Z', 'Australia/Lord_Howe', '2026-10-04 15:15Z'),
    -- but what begins with * goes by the hands of the clock
    ('*/30 * * * *', '2026-03-08 06:30Z', 'America/New_York', '2026-03-08 07:00Z'),
    ('30 * * * *', '2026-03-08 06:30Z', 'America/New_York', '2026-03-08 07:30Z'),
    ('0 */2 * * *', '2026-03-08 05:00Z', 'America/New_York', '2026-03-08 08:00Z'),
    ('*/20 2 * * *', '2026-03-07 12:00Z', 'America/New_York', '2026-03-09 06:00Z'),
    -- it is put back: what comes twice is once
    ('30 1 * * *', '2026-10-31 12:00Z', 'America/New_York', '2026-11-01 05:30Z'),
    ('30 1 * * *', '2026-11-01 05:30Z', 'America/New_York', '2026-11-02 06:30Z'),
    ('30 2 * * *', '2026-10-24 12:00Z', 'Europe/Berlin', '2026-10-25 00:30Z'),
    ('30 2 * * *', '2026-10-25 00:30Z', 'Europe/Berlin', '2026-10-26 01:30Z'),
    -- and twice where it begins with *
    ('*/30 * * * *', '2026-11-01 05:30Z', 'America/New_York', '2026-11-01 06:00Z'),
    ('*/30 * * * *', '2026-11-01 06:00Z', 'America/New_York', '2026-11-01 06:30Z'),
    ('0 * * * *', '2026-11-01 05:00Z', 'America/New_York', '2026-11-01 06:00Z'),
    -- a change of a day is no daylight saving: the 30th of December was not there
    ('0 12 * * *', '2011-12-29 22:00Z', 'Pacific/Apia', '2011-12-30 22:00Z'),
    ('0 12 30 12 *', '2011-12-29 22:00Z', 'Pacific/Apia', '2012-12-29 22:00Z');

SELECT v.*, n AS got FROM vector v, imgexport.next_run(cron, after, zone) AS n
WHERE n IS DISTINCT FROM expected;
SELECT count(*) AS vectors FROM vector;

-- A day of a schedule, across both changes.
SELECT count(*) FILTER (WHERE zone = 'America/New_York') AS spring
FROM (WITH RECURSIVE run(at) AS (
          SELECT imgexport.next_run('0 * * * *', '2026-03-08 04:59Z', 'America/New_York')
          UNION ALL
          SELECT imgexport.next_run('0 * * * *', at, 'America/New_York') FROM run
          WHERE at < '2026-03-09 03:00Z')
      SELECT at, 'America/New_York' AS zone FROM run) r WHERE at < '2026-03-09 04:00Z';
SELECT count(*) AS autumn
FROM (WITH RECURSIVE run(at) AS (
          SELECT imgexport.next_run('0 * * * *', '2026-11-01 03:59Z', 'America/New_York')
          UNION ALL
          SELECT imgexport.next_run('0 * * * *', at, 'America/New_York') FROM run
          WHERE at < '2026-11-02 05:00Z')
      SELECT at FROM run) r WHERE at < '2026-11-02 05:00Z';

-- What is none.
CREATE FUNCTION pg_temp.complaint(cron text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'is due ' || imgexport.next_run(cron, '2026-01-01Z');
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT pg_temp.complaint(cron) FROM unnest(ARRAY[
    '', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *',
    '* * * 13 *', '* * * 0 *', '* * * * 8', '*/0 * * * *', '*/x * * * *', '5/15 * * * *',
    '10-5 * * * *', '1,,2 * * * *', '1, * * * *', 'a * * * *', '* * * foo *', '* * * january *',
    '0 seconds', '60 seconds', '-5 seconds', '30 minutes', '@reboot', '@', '*-5 * * * *',
    '1- * * * *', '* * * * mon-', '-1 * * * *', '99999999999999999999 * * * *', '$ * * * *',
    repeat('9', 10000)]) AS cron WHERE length(cron) < 1000 OR pg_temp.complaint(cron) !~ '^22023';
SELECT imgexport.next_run('* * * * *', time_zone => 'Mars/Olympus');
SELECT imgexport.next_run(NULL) IS NULL AS no_expression,
       imgexport.next_run('* * * * *', 'infinity') IS NULL AS no_end;

-- Schedules.
SELECT name, cron, task, options, enabled FROM imgexport.schedule ORDER BY name;
SELECT imgexport.schedule('mine', '0 2 * * *', 'expire_images', '{"older_than": "1 hour"}') > now() AS due;
SELECT imgexport.schedule('mine', '@daily', 'delete_jobs', '{}', 'Europe/Berlin') > now() AS due;
SELECT name, cron, task, options, time_zone FROM imgexport.schedule WHERE name = 'mine';
\set VERBOSITY terse
SELECT imgexport.schedule('bad', 'daily', 'expire_images');
SELECT imgexport.schedule('bad', '@daily', 'expire');
SELECT imgexport.schedule('bad', '@daily', 'expire_images', '{"older": "1 day"}');
SELECT imgexport.schedule('bad', '@daily', 'expire_images', '{"older_than": "a while"}');
SELECT imgexport.schedule('bad', '@daily', 'expire_images', '{"older_than": "-1 day"}');
SELECT imgexport.schedule('bad', '@daily', 'expire_images', '{}', 'Nowhere');
UPDATE imgexport.schedule SET cron = '61 * * * *' WHERE name = 'mine';
SELECT imgexport.unschedule('mine') AS known;
SELECT imgexport.unschedule('mine') AS known;
SELECT imgexport.run_task('nothing');
SELECT imgexport.cleanup('everything');
