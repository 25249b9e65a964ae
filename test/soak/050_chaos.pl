# SOAK_JOBS jobs (3,000) of every kind, while one fault after another happens (test/lib/Faults.pm).
# Then all faults end, and everything has to be right: no acknowledged job is lost or done twice,
# each is in its right end, rows and objects are the same, pixels, hashes, counts and webhooks are
# right, the database can be dumped and restored, and the worker has grown in no way.
#
# SOAK_SEED repeats the order of faults and jobs, as far as processes let it be repeated.
use strict;
use warnings;

# A small disk of the test's own, where one can be mounted: in namespaces that end with it.
BEGIN
{
	if (!exists $ENV{SMALL_DISK} && system('unshare --user --map-root-user --mount true 2>/dev/null') == 0)
	{
		require File::Temp;
		$ENV{SMALL_DISK} = File::Temp::tempdir();
		@ENV{qw(SMALL_UID SMALL_GID)} = ($>, $) + 0);
		exec 'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs -o size=2m,mode=0700 none "$SMALL_DISK" || exit 1
			exec unshare --user --map-user="$SMALL_UID" --map-group="$SMALL_GID" "$@"', 'sh', $^X, $0;
	}
}

use lib 'test/lib';
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use Faults;
use File::Path qw(make_path);
use ImgTest;
use JSON::PP;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use S3Server;
use Test::More;
use Time::HiRes qw(sleep time);
use WebServer;

my $jobs = $ENV{SOAK_JOBS} // 3_000;
my $seed = $ENV{SOAK_SEED} // int(rand(2**31));
my $colors = 40;
srand($seed);
diag("SOAK_SEED=$seed, $jobs jobs");

# Settings of the database bind the worker, not the test's own sessions.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'role=none', 'lock_timeout=0', 'statement_timeout=0', 'default_transaction_read_only=off',
	'default_transaction_isolation=read\ committed', 'search_path=public', 'work_mem=4MB',
	'idle_in_transaction_session_timeout=0', 'TimeZone=UTC', 'DateStyle=ISO';

package Chaos
{
	use Test::More;
	use Time::HiRes qw(sleep);

	sub ask
	{
		my ($self, $sql, $database, @options) = @_;

		foreach my $try (1 .. 600)
		{
			my ($code, $answer, $complaint) = $self->{node}->psql($database // 'postgres', $sql, on_error_stop => 1, extra_params => \@options);

			return $answer if $code == 0;
			# The server is away, or it took its session away, or a deadlock was resolved.
			BAIL_OUT("$sql: $complaint") unless $code == 2 || $complaint =~ /terminat|recovery|starting up|shutting down|deadlock|could not serialize/;
			sleep(0.1);
		}
		BAIL_OUT('the server does not come back');
	}

	# What may fail.
	sub ask_once
	{
		my ($self, $sql) = @_;

		return ($self->{node}->psql('postgres', $sql))[1];
	}

	sub restart
	{
		my ($self, $mode) = @_;

		$self->{node}->stop($mode);
		$self->{node}->start;
	}
}

# The server --------------------------------------------------------------------------------

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $disk = $ENV{SMALL_DISK} // "$folder/disk";
make_path($disk, map { "$folder/$_" } qw(files s3));
append_to_file("$folder/secrets", "s3 = S3RVER\n");
chmod 0640, "$folder/secrets";

my $node = new_node('chaos', "log_statement = 'none'", 'restart_after_crash = on', 'fsync = off', 'max_prepared_transactions = 5',
	"imgexport.store_directories = '$folder/files, $disk'", "imgexport.secrets_file = '$folder/secrets'",
	(map { "imgexport.${_}_allowed_networks = '127.0.0.0/8'" } qw(store service)),
	"imgexport.fetch_timeout = '2s'", "imgexport.store_timeout = '2s'", "imgexport.codec_timeout = '4s'", 'imgexport.codec_processes = 2');
my $moody = WebServer->run(0, 'test/server/moody.py');
my $s3 = S3Server->start("$folder/s3", 'pictures');
my $chaos = bless { node => $node, moody => $moody, s3 => $s3, folder => $folder, disk => $disk, killed => 0, steered => {} }, 'Chaos';
my $url = $moody->url;

sub ask { return $chaos->ask(@_) }
sub as_app { return $chaos->ask($_[0], 'postgres', '-U', 'app') }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what)
	  or diag(ask("SELECT state, attempts, left(error, 100), count(*) FROM imgexport.job GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 10"));
}

ask("CREATE ROLE app LOGIN; CALL imgexport.grant_access('app'); CREATE SCHEMA app AUTHORIZATION app; GRANT CREATE ON SCHEMA public TO app;
	INSERT INTO imgexport.store (name, kind, location) VALUES ('files', 'file', '$folder/files'), ('disk', 'file', '$disk'),
		('http', 'http', '$url/store');
	INSERT INTO imgexport.store (name, kind, location, bucket, access_key, secret) VALUES ('s3', 's3', '" . $s3->url . "', 'pictures', 'S3RVER', 's3');
	INSERT INTO imgexport.service (name, kind, url, send, request, retries, timeout, cache_for)
		VALUES ('cut', 'background', '$url/service', 'body', '{}', 2, '2 seconds', NULL);
	UPDATE imgexport.queue SET concurrency = 20;");
as_app('CREATE FUNCTION app.img_mine(image bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.img_flip(image); END $$');

# Pictures, and what is to come out of them.
my $outputs = q({"a": {"format": "png", "width": 12}, "b": {"format": "webp", "width": 24}});
ask("CREATE TABLE public.picture AS SELECT n, img_fetch('$url/source/' || n || '.png') AS data, img_fetch('$url/cut/' || n || '.png') AS cut
		FROM generate_series(1, $colors) n;
	GRANT SELECT ON public.picture TO app;
	CREATE TABLE public.expected AS
	SELECT n, cut, e.name, encode(sha256(e.data), 'hex') AS sha256
	FROM (SELECT n, false AS cut, data FROM public.picture UNION ALL SELECT n, true, cut FROM public.picture) p,
		LATERAL img_export(p.data, '$outputs') e");
my $crashes_before = crashes();

# Jobs ----------------------------------------------------------------------------------------

my %acknowledged; # batch => number of its jobs

# What a kind's jobs are, as arguments of imgexport.submit; n is its color.
my %kinds = (
	table => sub { source($_[0]) },
	url => sub { "source_url => '$url/source/$_[0].png'" },
	files => sub { source($_[0]) . ", store => 'files'" },
	disk => sub { source($_[0]) . ", store => 'disk'" },
	http => sub { source($_[0]) . ", store => 'http'" },
	s3 => sub { source($_[0]) . ", store => 's3'" },
	service => sub { source($_[0]) . q(, recipe => '[{"service": {"name": "cut", "on_error": "skip"}}]') },
	fallback => sub { source($_[0]) . q(, recipe => '[{"service": {"name": "cut", "fallback": ["flop"]}}]') },
	mine => sub { source($_[0]) . q(, recipe => '["app.mine", "flip"]') },
	hurried => sub { "source_url => '$url/source/$_[0].png', deadline => now() + interval '" . int(rand(1500)) . " ms'" },
	late => sub { source($_[0]) . ", deadline => now() - interval '1 s'" },
	unique => sub { source($_[0]) . ", unique_key => 'key $_[0]'" },
	damaged => sub { "source => '\\x89504e470d0a1a0a00'::bytea" },
	skipped => sub { "source => '\\x89504e470d0a1a0a00'::bytea, on_error => 'skip'" },
	kept => sub { source($_[0]) . q(, recipe => '[{"crop": {"left": 5000, "top": 0, "width": 1, "height": 1}}]', on_error => 'keep_original') },
	preset => sub { source($_[0]) . q(, recipe => '[{"crop": {"left": 5000, "top": 0, "width": 1, "height": 1}}]', on_error => 'preset:plain') });
ask("INSERT INTO imgexport.preset (name, outputs) VALUES ('plain', '$outputs')");

sub source { return "source => (SELECT data FROM public.picture WHERE n = $_[0])" }

sub submission
{
	my $n = 1 + int(rand($colors));
	my @names = sort keys %kinds;
	my $kind = $names[ rand @names ];
	my $hook = rand() < 0.3 ? ", webhook_url => '$url/hook/" . int(rand(5)) . "'" : '';

	# Chains: the second after the first, and a milestone after both.
	if (rand() < 0.1)
	{
		my $item = qq("source_url": "$url/source/$n.png", "max_attempts": 100, "metadata": {"kind": "chain", "n": $n});

		return ("SELECT imgexport.submit_batch('[{\"name\": \"first\", $item}, {\"name\": \"second\", \"depends_on\": [\"first\"], $item},
			{\"milestone\": true, \"depends_on\": [\"first\", \"second\"], \"metadata\": {\"kind\": \"milestone\", \"n\": $n}}]',
			outputs => '$outputs', queue => 'default'$hook)", 3);
	}
	return ("SELECT imgexport.submit(" . $kinds{$kind}->($n) . ", outputs => '$outputs', max_attempts => 100, priority => " . int(rand(10)) .
		", metadata => '{\"kind\": \"$kind\", \"n\": $n}'$hook)", 1);
}

# Twenty or so, in one transaction each few: what is acknowledged is noted.
sub submit_some
{
	my ($count) = @_;
	my ($statements, @sizes) = ('');

	while ($count > 0)
	{
		my ($statement, $size) = submission();
		$statements .= "$statement;";
		push @sizes, $size;
		$count -= $size;
	}
	my ($code, $answer) = $node->psql('postgres', "BEGIN; $statements COMMIT", extra_params => [ '-U', 'app' ]);
	return if $code != 0;
	my @batches = split /\n/, $answer;
	is(scalar(@batches), scalar(@sizes), 'each submission has a batch') if @batches != @sizes;
	# A unique key may have been that of a job before.
	$acknowledged{ $batches[$_] } //= $sizes[$_] foreach 0 .. $#batches;
}

# How many processes of the server have died by a signal.
sub crashes
{
	return scalar(() = slurp_file($node->logfile) =~ /\(PID \d+\) was terminated by signal/g);
}

sub worker_facts
{
	my $pid = ask("SELECT coalesce(max(pid), 0) FROM imgexport.workers() WHERE database = 'postgres'");
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
	my %open;
	$open{ (readlink($_) // 'gone') =~ s/\d+|\(deleted\)//gr }++ foreach glob "/proc/$pid/fd/*";

	return ($pid, $kb, \%open);
}

sub hurry
{
	ask("UPDATE imgexport.job SET run_at = now() WHERE state = 'pending' AND run_at > now() AND run_at < now() + interval '2 hours';
		UPDATE imgexport.delivery SET run_at = now() WHERE state = 'pending' AND run_at > now(); SELECT imgexport.wake()");
}

# Chaos -----------------------------------------------------------------------------------------

my @faults = grep { $ENV{SMALL_DISK} || $_->[0] ne 'disk of a store is full' } Faults::all();
@faults = grep { $_->[0] =~ /$ENV{SOAK_FAULTS}/ } @faults if $ENV{SOAK_FAULTS};
my %count;
my @next;
my $twice = 0;
my $start = time;
for (my $done = 0; $done < $jobs; $done += 20)
{
	# Each once before any is repeated; sometimes two at a time.
	my @begun;
	foreach (1 .. (rand() < 0.2 ? 2 : 1))
	{
		@next = shuffle(@faults) unless @next;
		push @begun, pop @next;
	}
	submit_some(10);
	note(join ' and ', map { $_->[0] } @begun);
	my @ends = map { $count{ $_->[0] }++; $_->[1]->($chaos) } @begun;
	submit_some(10);
	sleep(rand(0.8));
	# The later one first: it may have changed what the earlier one needs.
	$_->() foreach grep { defined } reverse @ends;
	$twice += ask("SELECT count(*) FROM (SELECT FROM imgexport.job WHERE state IN ('pending', 'processing') AND unique_key IS NOT NULL
		GROUP BY owner, unique_key HAVING count(*) > 1) k");
	hurry() if rand() < 0.2;
}
diag(sprintf '%d faults of %d kinds in %.0f s', eval { my $sum = 0; $sum += $_ foreach values %count; $sum }, scalar(keys %count), time - $start);

# Calm ------------------------------------------------------------------------------------------

kill 'CONT', Faults::helpers($chaos, 'imgexport');
my $calm = time;
while (ask("SELECT count(*) FROM imgexport.job WHERE state IN ('pending', 'processing')") > 0 && time - $calm < ($ENV{PG_TEST_TIMEOUT_DEFAULT} // 180))
{
	hurry();
	sleep(0.5);
}
wait_for("count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing')", 'every job comes to an end');
hurry();
wait_for("count(*) = 0 FROM imgexport.delivery WHERE state IN ('pending', 'processing')", 'every webhook does');
ask("UPDATE imgexport.removal SET run_at = now(), state = 'pending', attempts = 0; SELECT imgexport.wake()");
wait_for('count(*) = 0 FROM imgexport.removal', 'every removal does');

# Right -----------------------------------------------------------------------------------------

my %steered = %{ $chaos->{steered} };
my @steered_rows = map { my $batch = $_; map { "('$batch'::uuid, '$_')" } keys %{ $steered{$batch} } } keys %steered;
ask('CREATE TABLE public.steered (batch_id uuid, how text); CREATE TABLE public.acknowledged (batch_id uuid, jobs int)');
ask('INSERT INTO public.steered VALUES ' . join ', ', @steered_rows) if @steered_rows;
ask('INSERT INTO public.acknowledged VALUES ' . join ', ', map { "('$_', $acknowledged{$_})" } keys %acknowledged);

sub none
{
	my ($query, $what) = @_;

	is(ask("SELECT * FROM ($query) q LIMIT 10"), '', $what);
}

is($twice, 0, 'no two open jobs had one unique key');
none("SELECT a.batch_id, a.jobs, count(j.job_id) FROM public.acknowledged a LEFT JOIN imgexport.job j USING (batch_id)
	WHERE NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = a.batch_id AND s.how = 'deleted')
	GROUP BY a.batch_id, a.jobs HAVING count(j.job_id) <> a.jobs", 'no acknowledged job is lost');

# By kind: how a job may end that nobody has steered.
ask("CREATE VIEW public.ended AS SELECT j.*, j.metadata->>'kind' AS kind, (j.metadata->>'n')::int AS n,
	EXISTS (SELECT FROM public.steered s WHERE s.batch_id = j.batch_id AND s.how IN ('cancelled', 'retried')) AS steered FROM imgexport.job j");
none("SELECT kind, state, error_code, left(error, 80), attempts, count(*) FROM public.ended
	WHERE NOT CASE WHEN steered AND state = 'cancelled' THEN true
		WHEN kind = 'late' THEN state = 'failed' AND error_code = 'IX004' OR steered AND state = 'completed'
		-- A retry that would come after the deadline is none.
		WHEN kind = 'hurried' THEN state = 'completed' OR state = 'failed' AND error_code IN ('IX004', 'IX005')
		WHEN kind = 'damaged' THEN state = 'failed' AND error_code = 'IX001'
		WHEN steered AND kind IN ('chain', 'milestone') AND error_code = '55000' THEN true
		ELSE state = 'completed' END
	GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC", 'every job is in the end that its kind has');
none("SELECT job_id FROM public.ended WHERE state IN ('pending', 'processing') OR worker IS NOT NULL OR lease_until IS NOT NULL OR finished_at IS NULL
	OR (error IS NULL) <> (state IN ('completed', 'cancelled')) AND state <> 'cancelled'", 'with nothing of its way there left in its row');

# What was made, by kind.
none("SELECT kind, state, images, count(*) FROM (SELECT e.kind, e.state, e.batch_id, count(i.name) AS images
		FROM public.ended e LEFT JOIN imgexport.image i USING (batch_id, job_id) GROUP BY e.kind, e.state, e.batch_id, e.job_id) e
	WHERE images <> CASE WHEN state <> 'completed' OR kind IN ('skipped', 'milestone') THEN 0 WHEN kind = 'kept' THEN 1 ELSE 2 END
		AND NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = e.batch_id AND s.how = 'emptied')
	GROUP BY 1, 2, 3", 'every completed job has its images, and no other has any');
none("SELECT e.kind, i.name, e.warnings, count(*) FROM public.ended e JOIN imgexport.image i USING (batch_id, job_id)
	WHERE e.kind <> 'kept' AND encode(i.sha256, 'hex') NOT IN (SELECT x.sha256 FROM public.expected x
		WHERE x.n = e.n AND x.name = i.name AND x.cut = (e.kind IN ('service', 'fallback') AND e.warnings IS NULL))
	GROUP BY 1, 2, 3", 'with the right pixels');
none("SELECT i.job_id FROM public.ended e JOIN imgexport.image i USING (batch_id, job_id) WHERE e.kind = 'kept'
	AND i.sha256 <> (SELECT sha256(p.data) FROM public.picture p WHERE p.n = e.n)", 'or the original');
none("SELECT i.image_id FROM imgexport.image i WHERE i.data IS NOT NULL AND (sha256(i.data) <> i.sha256 OR length(i.data) <> i.bytes)", 'and the right hash');

# Objects.
my %rows = map { my ($store, $key, $hash) = split /\|/; ("$store/$key" => $hash) }
  split /\n/, ask("SELECT DISTINCT store, key, encode(sha256, 'hex') FROM imgexport.image WHERE key IS NOT NULL");
my %objects;
my $stored = decode_json($moody->ask('/objects'));
$objects{"http/$_"} = $stored->{$_} foreach keys %$stored;
$objects{"s3/$_"} = sha256_hex(slurp_file("$s3->{folder}/" . s/:/%3A/gr . '._S3rver_object', ':raw')) foreach $s3->keys_of;
foreach my $store ('files', 'disk')
{
	my $root = ask("SELECT location FROM imgexport.store WHERE name = '$store'");
	my ($key, $hash);

	foreach my $line (split /\n/, ask("SELECT l.key, encode(sha256(r.data), 'hex') FROM imgexport.list_files('$root') l,
		LATERAL imgexport.read_file('$root', l.key, 0, 100000000) r WHERE l.key !~ '^fill\$|unfinished\$'"))
	{
		($key, $hash) = split /\|/, $line;
		$objects{"$store/$key"} = $hash;
	}
}
cmp_ok(scalar(keys %rows), '>', $jobs / 50, 'there are objects in stores: ' . keys %rows);
is(join(' ', grep { !exists $objects{$_} } sort keys %rows), '', 'no row is without its object');
is(join(' ', grep { !exists $rows{$_} } sort keys %objects), '', 'no object is without its row');
is(join(' ', grep { exists $objects{$_} && $objects{$_} ne $rows{$_} } sort keys %rows), '', 'and each object is what its row says');

# Counts of batches.
none("SELECT b.batch_id, b.total, b.completed, b.failed, c.* FROM imgexport.batch b, LATERAL (SELECT count(*) AS jobs,
		count(*) FILTER (WHERE state = 'completed') AS completed, count(*) FILTER (WHERE state IN ('failed', 'cancelled')) AS failed
		FROM imgexport.job j WHERE j.batch_id = b.batch_id) c
	WHERE (b.total, b.completed, b.failed) IS DISTINCT FROM (c.jobs, c.completed, c.failed)
		AND NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = b.batch_id AND s.how = 'deleted')", 'batches have counted their jobs');
none("SELECT batch_id FROM imgexport.batch WHERE finished_at IS NULL", 'and are finished');

# Webhooks: one of each event, delivered, by what was really received.
none("SELECT d.batch_id, d.event, d.state, d.error FROM imgexport.delivery d WHERE d.state <> 'delivered'
	AND NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = d.batch_id AND s.how = 'deleted')", 'every webhook was delivered');
none("SELECT b.batch_id, count(d.batch_id) FROM imgexport.batch b LEFT JOIN imgexport.delivery d ON d.batch_id = b.batch_id AND d.event = 'batch.completed'
	WHERE b.webhook_url IS NOT NULL AND NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = b.batch_id)
	GROUP BY b.batch_id HAVING count(d.batch_id) <> 1", 'a batch has one webhook');
my $posts = decode_json($moody->ask('/hooks'));
ask('CREATE TABLE public.post (id uuid, well boolean, headers jsonb, body text)');
while (my @part = splice(@$posts, 0, 200))
{
	my $values = join ', ', map { my $post = $_; '(' . join(', ', map { "'" . s/'/''/gr . "'" } $post->{id}, $post->{well} ? 't' : 'f',
		encode_json($post->{headers}), $post->{body}) . ')' } @part;
	ask("INSERT INTO public.post VALUES $values");
}
none("SELECT d.delivery_id, d.attempts FROM imgexport.delivery d WHERE d.state = 'delivered' AND NOT EXISTS (
	SELECT FROM public.post p WHERE p.id = d.delivery_id AND p.well)", 'what is delivered was received');
none("SELECT d.delivery_id, d.attempts, count(*) FROM imgexport.delivery d JOIN public.post p ON p.id = d.delivery_id
	WHERE NOT EXISTS (SELECT FROM public.steered s WHERE s.batch_id = d.batch_id AND s.how = 'replayed')
	GROUP BY d.batch_id, d.delivery_id, d.attempts HAVING count(*) > d.attempts", 'no more often than it was tried');
none("SELECT d.delivery_id FROM imgexport.delivery d JOIN public.post p ON p.id = d.delivery_id JOIN imgexport.webhook w USING (owner, url)
	WHERE p.body <> d.payload OR NOT imgexport.verify_webhook(p.headers, convert_to(p.body, 'UTF8'), w.secret, '1 day')",
	'with the body of its row and a signature that verifies');

# Nothing is held that nobody uses.
is(ask("SELECT count(*) FROM imgexport.hosts() WHERE running <> 0"), 0, 'no host is thought to be busy');
is(ask("SELECT count(*) FROM imgexport.services() WHERE running <> 0"), 0, 'no service is');

# The log.
my $log = slurp_file($node->logfile);
is(join("\n", $log =~ /^.*(?:PANIC|TRAP:|terminated by signal (?!9\b)|invalid byte sequence|invalid memory alloc|cache lookup failed|AddressSanitizer|stuck).*$/mg), '',
	'the log has nothing of crashes');
cmp_ok(crashes() - $crashes_before, '<=', $chaos->{killed}, "no process died by a signal but those $chaos->{killed} that were killed");

# A dump, restored, is the same.
sub contents
{
	my ($database) = @_;
	my @tables = split /\n/, ask("SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND c.oid = ANY (e.extconfig) WHERE e.extname = 'imgexport' AND c.relkind = 'r' ORDER BY 1", $database);

	return join "\n", map { "$_ " . ask("SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM $_ t", $database) } @tables;
}
ask("SELECT imgexport.pause(name) FROM imgexport.queue; UPDATE imgexport.schedule SET enabled = false");
my $dump = "$folder/dump";
my @connection = ('-h', $node->host, '-p', $node->port);
my $contents = contents('postgres');
is((run_command([ 'pg_dump', @connection, '-Fc', '-f', $dump, 'postgres' ]))[1], '', 'the database can be dumped');
ask('CREATE DATABASE restored');
is((run_command([ 'pg_restore', @connection, '-e', '-d', 'restored', $dump ]))[1], '', 'and restored');
is(contents('restored'), $contents, 'and is the same');
ask('DROP DATABASE restored');
ask("SELECT imgexport.resume(name) FROM imgexport.queue");

# The same worker again and again.
sub more_jobs
{
	foreach (1 .. $_[0])
	{
		submit_some(20);
		wait_for_quiet();
	}
}
sub wait_for_quiet
{
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing') AND run_at <= now()") or die 'jobs are not done';
}
my $rounds = $jobs < 1000 ? 3 : 10;
more_jobs($rounds);
my ($pid, $kb, $descriptors) = worker_facts();
more_jobs($rounds);
my ($pid_then, $kb_then, $descriptors_then) = worker_facts();
is($pid_then, $pid, 'a worker goes on');
# What it has read of tables and plans fills caches, which have an end.
cmp_ok($kb_then, '<', $kb * 1.2 + 6144, 'its memory does not grow');
# Files of tables are the server's own business.
foreach my $what (grep { !m{/pgdata/} } sort keys %$descriptors_then)
{
	cmp_ok($descriptors_then->{$what}, '<=', ($descriptors->{$what} // 0) + 8, "nor does the number of its descriptors: $what");
}

$moody->stop;
$s3->stop;
$node->stop;
done_testing();
