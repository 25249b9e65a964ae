# Stores: outputs in files, in an S3 that checks signatures, and behind a PUT; and gone again.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use S3Server;
use WebServer;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
make_path("$folder/files", "$folder/elsewhere", "$folder/s3");
chmod 0755, "$folder/files";
my $node = new_node('stores', "imgexport.store_directories = '$folder/files'",
	"imgexport.store_allowed_networks = '127.0.0.0/8, ::1/128'", "imgexport.secrets_file = '$folder/secrets'");
append_to_file("$folder/secrets", "# of the tests\ns3 = S3RVER\n  bearer=let-me-in\n");
chmod 0640, "$folder/secrets";
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $outputs = q('{"small": {"format": "png", "width": 32}, "wide": {"format": "jpeg", "width": 64}}');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# A batch of one photograph in a store, when it is done.
sub stored
{
	my ($store, $more) = @_;
	my $batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, store => '$store'" . ($more // '') . ')');

	ask("CALL imgexport.wait('$batch', '60s')");
	return $batch;
}

sub none_left { wait_for("count(*) = 0 FROM imgexport.removal WHERE run_at <= now()", 'removals are done') }

# Files.
ask("INSERT INTO imgexport.store (name, kind, location, key) VALUES ('files', 'file', '$folder/files', '{owner}/{sha256:2}/{name}-{sha256}.{ext}')");
my $batch = stored('files');
is(ask("SELECT state, warnings FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', 'outputs go into files');
my @keys = split /\n/, ask("SELECT key FROM imgexport.image WHERE batch_id = '$batch' ORDER BY name");
my $prefix = ask("SELECT imgexport.key_prefix('files')") =~ s{/files/$}{}r;
like($keys[0], qr{^$prefix/files/postgres/[0-9a-f]{2}/small-[0-9a-f]{64}\.png$}, 'by the template of the store');
is(ask("SELECT bool_and(data IS NULL AND sha256 = sha256(pg_read_binary_file('$folder/files/' || key))) FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'whole, and not in the table');
is(sprintf('%o', (stat "$folder/files/$keys[0]")[2] & 0777), '644', 'readable as their directory is');
is(join(' ', glob("$folder/files/$prefix/files/postgres/*/.*.unfinished")), '', 'with nothing beside them');
my $again = stored('files');
is(ask("SELECT count(DISTINCT key) FROM imgexport.image WHERE store = 'files'"), 2, 'the same contents are the same objects');
ask("DELETE FROM imgexport.image WHERE batch_id = '$batch'");
none_left();
ok(-e "$folder/files/$keys[0]", 'an object stays while a row names it');
ask("DELETE FROM imgexport.job WHERE batch_id = '$again'");
none_left();
is(join(' ', glob("$folder/files/*")), '', 'and goes with the last one, with its directories');
stored('files', ", expires_in => '1 second'");
wait_for("imgexport.cleanup('expired')->>'images_deleted' = '2'", 'outputs expire');
none_left();
is(join(' ', glob("$folder/files/*")), '', 'and so do their files');

# One key, written and removed again and again: a removal never takes what was written after it.
ask("INSERT INTO imgexport.store (name, kind, location, key, retention) VALUES ('shared', 'file', '$folder/files/shared', '{sha256}.{ext}', '2 days')");
mkdir "$folder/files/shared";
foreach my $round (1 .. 30)
{
	ask("DELETE FROM imgexport.image WHERE store = 'shared'") if $round % 3;
	ask("SELECT imgexport.submit(source => pg_read_binary_file('" . photo('dune.jpg') . "'), outputs => $outputs, store => 'shared')");
}
wait_for("count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing')", 'thirty rounds of writing and removing one key');
wait_for("count(*) = 0 FROM imgexport.removal WHERE run_at <= now() + interval '10 s'", 'and all removals');
is(ask("SELECT string_agg(problem, ', ') FROM imgexport.reconcile('shared', false, '-1 h')"), '', 'each row has its object, and each object a row');
is(ask("SELECT bool_and(expires_at = created_at + interval '2 days') FROM imgexport.image WHERE store = 'shared'"), 't', 'kept for as long as the store says');
ask("DELETE FROM imgexport.job");
none_left();

is(ask("SELECT ok, detail ~ 'free\$' FROM imgexport.check() WHERE item = 'store files'"), 't|t', 'check tells the room in its directory');

# No way out of the directory.
symlink("$folder/elsewhere", "$folder/files/$prefix") or die;
$batch = stored('files', ', max_attempts => 1');
like(ask("SELECT error_code, error FROM imgexport.job WHERE batch_id = '$batch'"), qr/^42501.could not store an output in "files": could not open directory "$prefix"/, 'a symbolic link is not followed');
is(join(' ', glob("$folder/elsewhere/*")), '', 'to nowhere');
unlink "$folder/files/$prefix";
foreach my $key ('../x', '/etc/hostname', 'a/../../x', 'a//b', './x', '.x.unfinished/y')
{
	like(error_of($node, "SELECT * FROM imgexport.read_file('$folder/files', '$key')"), qr/42501|^$/, "no key: $key");
}
like(error_of($node, "SELECT * FROM imgexport.list_files('$folder/elsewhere')"), qr/42501.*stores may be in/s, 'a directory that is not listed');
like(error_of($node, "SELECT * FROM imgexport.list_files('/etc')"), qr/42501/, 'nor /etc');
is(ask("SELECT data IS NULL FROM imgexport.read_file('$folder/files', 'not/there')"), 't', 'a file that is not there is NULL');

# The worker dies while it stores: nothing is left behind for ever.
ask("INSERT INTO imgexport.store (name, kind, location) VALUES ('more', 'file', '$folder/files/more')");
mkdir "$folder/files/more";
foreach my $round (1 .. 3)
{
	$batch = ask("SELECT imgexport.submit(urls => array_agg(text '$url/dune.jpg'), outputs => $outputs, store => 'more') FROM generate_series(1, 20)");
	wait_for("count(*) >= 2 FROM imgexport.removal WHERE batch_id = '$batch'", "round $round: storing has begun");
	$node->stop('immediate');
	$node->start;
	ask("CALL imgexport.wait('$batch', '60s')");
	is(ask("SELECT count(*) FROM imgexport.image WHERE batch_id = '$batch'"), 40, 'all is stored after a crash');
}
is(ask("SELECT string_agg(problem, ', ') FROM imgexport.reconcile('more', older_than => '-1 h') WHERE key !~ 'unfinished'"), '', 'rows and files are the same');
ask("UPDATE imgexport.removal SET run_at = now(); SELECT imgexport.wake()");
none_left();
is(ask("SELECT count(*), bool_and(key IS NOT NULL) FROM imgexport.image WHERE store = 'more'"), '120|t', 'what was prepared for a failure removes nothing');
my ($kept) = split /\n/, ask("SELECT key FROM imgexport.image WHERE store = 'more' ORDER BY key LIMIT 1");
unlink "$folder/files/more/$kept";
append_to_file("$folder/files/more/$prefix/more/stray.png", 'nobody knows me');
is(ask("SELECT string_agg(problem, ', ' ORDER BY key ~ 'stray.png') FROM imgexport.reconcile('more', true, '-1 h') WHERE key !~ 'unfinished'"), 'there is no object, no row names it', 'reconcile finds what is missing and what is too much');
none_left();
ok(!-e "$folder/files/more/$prefix/more/stray.png", 'and removes what is too much');
like(error_of($node, "DELETE FROM imgexport.store WHERE name = 'more'"), qr/55006.*has objects/s, 'a store in use is not forgotten');
like(error_of($node, "UPDATE imgexport.store SET name = 'other' WHERE name = 'more'"), qr/55006/, 'nor called otherwise');

# S3.
my $s3 = S3Server->start("$folder/s3", 'pictures');
ask("INSERT INTO imgexport.store (name, kind, location, bucket, access_key, secret) VALUES ('s3', 's3', '" . $s3->url . "', 'pictures', 'S3RVER', 's3')");
$batch = stored('s3');
is(ask("SELECT state, error, warnings FROM imgexport.job WHERE batch_id = '$batch'"), 'completed||', 'outputs go into an S3');
is(join("\n", $s3->keys_of), ask("SELECT key FROM imgexport.image WHERE batch_id = '$batch' ORDER BY key COLLATE \"C\""), 'under their keys');
my $link = ask("SELECT imgexport.s3_presign(s, 'GET', i.key, '1 minute') FROM imgexport.store s, imgexport.image i WHERE s.name = 's3' AND i.store = 's3' AND i.name = 'small'");
is(ask("SELECT sha256 = sha256(img_fetch('$link')) FROM imgexport.image WHERE batch_id = '$batch' AND name = 'small'"), 't', 'a presigned URL gives the bytes');
like(error_of($node, "SELECT img_fetch('" . ($link =~ s/Signature=./Signature=0/r =~ s/Signature=0(.)/Signature=00/r) . "')"), qr/403/, 'with its signature alone');
$link = ask("SELECT imgexport.s3_presign(s, 'GET', i.key, '1 minute', now() - interval '1 hour') FROM imgexport.store s, imgexport.image i WHERE s.name = 's3' AND i.store = 's3' AND i.name = 'small'");
like(error_of($node, "SELECT img_fetch('$link')"), qr/403/, 'and not when it has expired');
is(ask("SELECT count(*) FROM imgexport.reconcile('s3')"), 0, 'reconcile lists it');
ask("DELETE FROM imgexport.image WHERE batch_id = '$batch' AND name = 'small'");
none_left();
is(scalar($s3->keys_of), 1, 'an object goes with its row');
ask("UPDATE imgexport.store SET part_bytes = 5242880 WHERE name = 's3'");
$batch = ask("SELECT imgexport.submit(source_url => '$url/photo-12mp.jpg', outputs => '{\"large\": {\"format\": \"png\", \"options\": {\"compression\": 1}}}', store => 's3')");
ask("CALL imgexport.wait('$batch', '60s')");
is(ask("SELECT bytes > 3 * 5242880 FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'a large output');
$link = ask("SELECT imgexport.s3_presign(s, 'GET', i.key, '1 minute') FROM imgexport.store s, imgexport.image i WHERE s.name = 's3' AND i.batch_id = '$batch'");
is(ask("SELECT sha256 = sha256(img_fetch('$link')) FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'comes whole when it was sent in parts');
$batch = ask("SELECT imgexport.submit(source_url => '$url/photo-12mp.jpg', outputs => '{\"large\": {\"format\": \"png\", \"options\": {\"compression\": 1}}}', store => 's3')");
wait_for("count(upload_id) = 1 FROM imgexport.removal WHERE batch_id = '$batch'", 'an upload in parts has begun');
$node->stop('immediate');
$node->start;
ask("CALL imgexport.wait('$batch', '60s')");
ask("UPDATE imgexport.removal SET run_at = now(); SELECT imgexport.wake()");
none_left();
like(slurp_file("$folder/s3/given-up"), qr/^\w+ true$/m, 'what a crash left of it is given up');
is(ask("SELECT sha256 = sha256(imgexport.image_bytes(image_id)) FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'and the object stays');
ask("UPDATE imgexport.store SET part_bytes = DEFAULT, path_style = false, location = replace(location, '127.0.0.1', 's3.localhost') WHERE name = 's3'");
$batch = stored('s3');
is(ask("SELECT state, error FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', 'the bucket in the name of the host');
ask("UPDATE imgexport.store SET path_style = true, location = '" . $s3->url . "' WHERE name = 's3'");

# An S3 that says no, is away, and comes back.
ask("INSERT INTO imgexport.secret VALUES ('s3', 'not-the-secret')");
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, store => 's3')");
wait_for("error ~ 'could not store an output in \"s3\": server answered 403' FROM imgexport.job WHERE batch_id = '$batch'", 'the wrong secret is an error of the job');
ask("DELETE FROM imgexport.secret; UPDATE imgexport.job SET run_at = now() WHERE batch_id = '$batch'; SELECT imgexport.wake(); CALL imgexport.wait('$batch', '60s')");
is(ask("SELECT state, attempts > 1 FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|t', 'which is tried again');
my $s3_port = $s3->url;
$s3->stop;
ask("DELETE FROM imgexport.image WHERE batch_id = '$batch'");
wait_for("count(*) = 2 AND bool_and(attempts = 1 AND state = 'pending' AND error ~ 'could not connect') FROM imgexport.removal WHERE batch_id = '$batch' AND error IS NOT NULL", 'what cannot be removed now');
$s3 = S3Server->start("$folder/s3", 'pictures');
ask("UPDATE imgexport.store SET location = '" . $s3->url . "' WHERE name = 's3'");
# Two at once in a folder are too much for this S3 now and then: it answers 500.
foreach (1 .. 10)
{
	ask("UPDATE imgexport.removal SET run_at = now() WHERE error IS NOT NULL; SELECT imgexport.wake()");
	none_left();
	last if ask("SELECT count(*) FROM imgexport.removal WHERE error IS NOT NULL") == 0;
}
is(ask("SELECT count(*) FROM imgexport.removal WHERE error IS NOT NULL"), 0, 'is removed later');

# Where stores may be is not where jobs may fetch from.
ask("ALTER SYSTEM SET imgexport.store_allowed_networks = ''; SELECT pg_reload_conf()");
wait_for("current_setting('imgexport.store_allowed_networks') = ''", 'no private networks for stores');
$batch = stored('s3', ', max_attempts => 1');
is(ask("SELECT error_code, error ~ 'address 127.0.0.1 is refused' FROM imgexport.job WHERE batch_id = '$batch'"), 'IX006|t', 'a store in one is refused');
ask("ALTER SYSTEM RESET imgexport.store_allowed_networks; SELECT pg_reload_conf()");
wait_for("current_setting('imgexport.store_allowed_networks') <> ''", 'and allowed again');

# HTTP, as Supabase Storage has it.
ask("INSERT INTO imgexport.store (name, kind, location, method, headers, public_url) VALUES ('supabase', 'http', '$url/storage/v1/object/pictures',
	'POST', '{\"Authorization\": \"Bearer {secret:bearer}\", \"x-upsert\": \"true\"}', '$url/storage/v1/object/pictures')");
$batch = stored('supabase');
is(ask("SELECT state, error FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', 'outputs go to an HTTP server');
is(ask("SELECT bool_and(sha256 = sha256(img_fetch('$url/storage/v1/object/pictures/' || key))) FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'as they are');
ask("DELETE FROM imgexport.image WHERE batch_id = '$batch'");
none_left();
is($web->ask('/stored'), '[]', 'and are deleted there');
like(error_of($node, "SELECT * FROM imgexport.reconcile('supabase')"), qr/0A000.*cannot be listed/s, 'which has no list');

# Secrets are told nobody.
chmod 0644, "$folder/secrets";
like(error_of($node, "SELECT imgexport.secret_value('s3')"), qr/42501.*anyone may read/s, 'a file that anyone may read is refused');
chmod 0640, "$folder/secrets";
like(error_of($node, "SELECT imgexport.secret_value('no')"), qr/42704.*secret "no" does not exist/s, 'one that is not there');
ask("CREATE ROLE anna LOGIN; CALL imgexport.grant_access('anna'); INSERT INTO imgexport.secret VALUES ('bearer', 'let-me-in')");
foreach my $statement ("SELECT * FROM imgexport.secret", "SELECT imgexport.secret_value('bearer')", "SELECT imgexport.file_secret('bearer')",
	"SELECT headers FROM imgexport.store", "SELECT imgexport.fill_in_secrets('{secret:bearer}')", "SELECT * FROM imgexport.object_request('supabase', 'PUT', 'x', '', '', '', now())",
	"SELECT * FROM imgexport.removal", "INSERT INTO imgexport.store (name, kind) VALUES ('x', 'table')", "SELECT * FROM imgexport.reconcile('s3')", "SELECT imgexport.call_http('GET', '$url', '')")
{
	like(error_of($node, "SET ROLE anna; $statement"), qr/42501/, "not for an ordinary role: $statement");
}
my ($dump, $dump_errors) = run_command([ 'pg_dump', '-U', 'anna', '-h', $node->host, '-p', $node->port, '--enable-row-security', 'postgres' ]);
unlike($dump, qr/let-me-in/, 'nor in its dump');
unlike(slurp_file($node->logfile) =~ s/^.*statement: .*$//mgr, qr/let-me-in|not-the-secret/, 'nor in the log');
is(ask("SELECT count(*) FROM imgexport.job WHERE job::text ~ 'let-me-in|not-the-secret|S3RVER'"), 0, 'nor in a job');

# What a store must be.
foreach my $wrong (
	[ "('x', 'file', NULL)", qr/absolute path/ ], [ "('x', 'file', 'relative')", qr/absolute path/ ],
	[ "('x', 's3', 'https://s3.example.com')", qr/needs bucket, access_key and secret/ ], [ "('x', 'http', 'ftp://x')", qr/http or https/ ],
	[ "('x', 'http', 'https://u:p\@example.com')", qr/http or https/ ], [ "('x', 'table', '/x')", qr/has no location/ ])
{
	like(error_of($node, "INSERT INTO imgexport.store (name, kind, location) VALUES $wrong->[0]"), $wrong->[1], "no store: $wrong->[0]");
}
foreach my $template ('{sha256:8}.{ext}', '{nothing}-{sha256}', '/{sha256}', '../{sha256}', 'a b/{sha256}', '.{sha256}', '{sha256}/')
{
	like(error_of($node, "INSERT INTO imgexport.store (name, kind, key) VALUES ('x', 'table', '$template')"), qr/22023/, "no key template: $template");
}
like(error_of($node, "SELECT imgexport.submit(source_url => '$url/dune.jpg', store => 'nowhere')"), qr/store "nowhere" does not exist/, 'a job for a store that is not there');

$s3->stop;
$web->stop;
$node->stop;
done_testing();
