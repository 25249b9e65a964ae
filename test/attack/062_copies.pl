# Copies and neighbors: what a copy does never touches its original, and two installations that
# share a directory, a bucket or a server never remove each other's objects.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use S3Server;
use WebServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
mkdir "$folder/$_" foreach qw(files s3);
my $s3 = S3Server->start("$folder/s3", 'pictures');
my @settings = ("imgexport.store_directories = '$folder/files'", "imgexport.store_allowed_networks = '127.0.0.0/8'", 'max_connections = 40');
my $node = new_node('original', @settings);
my $other = new_node('neighbor', @settings);
my $outputs = '{"a": {"format": "png", "width": 16}}';

sub ask { my ($server, $statement, $database) = @_; return $server->safe_psql($database // 'postgres', $statement) }

sub wait_for
{
	my ($server, $condition, $what, $database) = @_;

	$server->poll_query_until($database // 'postgres', "SELECT $condition") or die "in vain: $what";
}

sub dormant { my ($server, $database) = @_; wait_for($server, 'imgexport.is_dormant()', 'dormant', $database) }

# Objects of a key that says nothing of who wrote them, in every kind of store.
sub make_stores
{
	my ($server, $database) = @_;

	ask($server, "INSERT INTO imgexport.secret VALUES ('s3', 'S3RVER'), ('bearer', 'let-me-in');
		INSERT INTO imgexport.store (name, kind, location, key) VALUES ('files', 'file', '$folder/files', '{sha256}.{ext}');
		INSERT INTO imgexport.store (name, kind, location, bucket, access_key, secret, key) VALUES ('s3', 's3', '" . $s3->url . "', 'pictures', 'S3RVER', 's3', '{sha256}.{ext}');
		INSERT INTO imgexport.store (name, kind, location, method, headers, key) VALUES ('http', 'http', '$url/storage/v1/object/pictures', 'POST',
			'{\"Authorization\": \"Bearer {secret:bearer}\", \"x-upsert\": \"true\"}', '{sha256}.{ext}')", $database);
}

sub fill_stores
{
	my ($server, $database) = @_;

	foreach my $store (qw(files s3 http))
	{
		my $batch = ask($server, "SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs', store => '$store')", $database);
		ask($server, "CALL imgexport.wait('$batch', '60s')", $database);
		is(ask($server, "SELECT state, error FROM imgexport.job WHERE batch_id = '$batch'", $database), 'completed|', "an object in $store");
	}
}

sub objects { return join "\n", (sort split /\n/, `cd '$folder/files' && find . -type f`), $s3->keys_of, sort @{ JSON::PP::decode_json($web->ask('/stored')) } }

# All that is due to be removed is removed.
sub removals_done
{
	my ($server, $database) = @_;

	ask($server, 'UPDATE imgexport.removal SET run_at = now(); SELECT imgexport.wake()', $database);
	wait_for($server, "count(*) = 0 FROM imgexport.removal", 'removals are done', $database);
}

use JSON::PP;

# Neighbors.
make_stores($node);
make_stores($other);
fill_stores($node);
my $before = objects();
fill_stores($other);
my $both = objects();
is(scalar(split /\n/, $both), 6, 'F8: two installations write the same picture under keys of their own');
ask($other, "SELECT imgexport.reconcile('$_', true, '-1 h')") foreach qw(files s3);
removals_done($other);
is(objects(), $both, 'F8: reconcile with repair does not remove the objects of others');
is(ask($other, "SELECT count(*) FROM imgexport.reconcile('files', false, '-1 h')"), 0, 'F8: nor tell of them');
ask($other, 'DELETE FROM imgexport.image');
removals_done($other);
is(objects(), $before, 'F8: nor does deleting a row of the same picture');

# Whatever stands in a row of the outbox.
my ($key) = split /\n/, ask($node, "SELECT key FROM imgexport.image WHERE store = 'files'");
foreach my $store (qw(files s3 http))
{
	my $id = ask($other, "INSERT INTO imgexport.removal (batch_id, store, key) VALUES (imgexport.new_id(), '$store', '" . ($key =~ s{/files/}{/$store/}r) . "') RETURNING removal_id");
	ask($other, 'SELECT imgexport.wake()');
	wait_for($other, "error ~ 'is not one of store' FROM imgexport.removal WHERE removal_id = '$id'", 'a removal is refused');
}
is(objects(), $before, "F8.1: a removal of a neighbor's key is refused");
ask($other, 'DELETE FROM imgexport.removal');

# Two stores of one installation in one directory.
ask($node, "INSERT INTO imgexport.store (name, kind, location, key) VALUES ('files2', 'file', '$folder/files', '{sha256}.{ext}')");
my $batch = ask($node, "SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs', store => 'files2')");
ask($node, "CALL imgexport.wait('$batch', '60s')");
ask($node, "SELECT imgexport.reconcile('files2', true, '-1 h'); DELETE FROM imgexport.image WHERE store = 'files2'");
removals_done($node);
is(objects(), $before, 'F8.2: nor do two stores of one installation');

# A key that version 0.1 wrote names nobody: it is read, and stays.
append_to_file("$folder/files/old.png", 'old');
ask($node, "INSERT INTO imgexport.image (batch_id, job_id, name, format, width, height, bytes, sha256, store, key)
	SELECT batch_id, job_id, 'old', 'png', 1, 1, 3, sha256('old'), 'files', 'old.png' FROM imgexport.job LIMIT 1");
is(ask($node, "SELECT convert_from(imgexport.image_bytes(image_id), 'UTF8') FROM imgexport.image WHERE key = 'old.png'"), 'old', 'F8.3: an object of version 0.1 is read');
is(ask($node, "SELECT count(*) FROM imgexport.reconcile('files', true, '-1 h')"), 0, 'F8.3: and known');
ask($node, "DELETE FROM imgexport.image WHERE key = 'old.png'; SELECT imgexport.reconcile('files', true, '-1 h')");
removals_done($node);
ok(-e "$folder/files/old.png", 'F8.3: but may be anybody\'s and so is not removed');
unlink "$folder/files/old.png";

# A copy on another server, where roles have other OIDs, and one does not exist.
ask($node, "CREATE ROLE anna; CREATE ROLE gone; CALL imgexport.grant_access('anna'); CALL imgexport.grant_access('gone')");
ask($node, "SET ROLE $_; INSERT INTO imgexport.job (source_url, run_at) VALUES ('$url/dune.jpg', now() + interval '1 day')") foreach qw(anna gone);
ask($other, 'CREATE ROLE first; CREATE ROLE second; CREATE ROLE anna');
ask($node, "INSERT INTO imgexport.job (source_url, outputs, run_at) VALUES ('$url/dune.jpg', '$outputs', now() + interval '1 day')");
my $base = $node->backup_dir;
mkdir $base;
command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-Fc', '-f', "$base/dump", 'postgres' ], 'pg_dump');
ask($other, 'CREATE DATABASE copy TEMPLATE template0');
command_ok([ 'pg_restore', '-e', '--no-privileges', '-h', $other->host, '-p', $other->port, '-d', 'copy', "$base/dump" ], 'pg_restore on another server');
ask($other, "CALL imgexport.grant_access('anna'); CALL imgexport.grant_access('first')", 'copy');
is(ask($other, "SET ROLE anna; SELECT count(*), min(owner) FROM imgexport.job", 'copy'), '1|anna', 'F3.6: an owner has its rows in a copy, by the name of its role');
is(ask($other, "SET ROLE first; SELECT count(*) FROM imgexport.job", 'copy'), 0, 'F3.6: another role has none, whatever its OID');
is(ask($other, "SELECT count(*) FROM imgexport.job WHERE owner = 'gone'", 'copy'), 1, 'F3.6: rows of a role that does not exist are not lost');
ask($other, "DELETE FROM imgexport.job WHERE owner IN ('anna', 'gone')", 'copy');
ask($other, "UPDATE imgexport.job SET run_at = now() WHERE state = 'pending'; UPDATE imgexport.schedule SET next_run = now() - interval '1 h' WHERE name = 'expire-images';
	INSERT INTO imgexport.delivery (batch_id, url, event) SELECT batch_id, '$url/hook/copy', 'batch.completed' FROM imgexport.batch LIMIT 1;
	UPDATE imgexport.image SET expires_at = now()", 'copy');
ask($other, "SELECT imgexport.wake(); SELECT imgexport.cleanup('expired')", 'copy');
dormant($other, 'copy');
ask($other, "UPDATE imgexport.removal SET run_at = now(); SELECT imgexport.wake()", 'copy');
like(error_of($other, "SELECT imgexport.reconcile('files', true, '-1 h')", 'copy'), qr/55000.*objects are not removed here/s, 'F3.1: reconcile with repair is refused in a copy');
is(ask($other, "SELECT count(*) FROM imgexport.image", 'copy'), 0, 'F3: the rows of a copy are gone');
$other->restart;
dormant($other, 'copy');
is(objects(), $before, 'F3: the objects of its original are not');
is(ask($other, "SELECT count(*) FROM imgexport.job WHERE state = 'pending'", 'copy'), 1, 'F3: its open jobs stay so');
is($web->ask('/hooked/copy'), '[]', 'F3: its webhooks are not sent');
is(ask($other, "SELECT count(*) FROM imgexport.schedule WHERE last_run > (SELECT max(created_at) FROM imgexport.removal)", 'copy'), 0, 'F3: its schedules do not run');
is(ask($other, "SELECT imgexport.why(job_id) ~ 'dormant' FROM imgexport.job WHERE state = 'pending'", 'copy'), 't', 'F3: why says so');

# Adopted as an installation of its own it lives beside the original.
ask($other, 'CALL imgexport.adopt(new_identity => true)', 'copy');
wait_for($other, "count(*) = 0 FROM imgexport.job WHERE state = 'pending'", 'its job is done', 'copy');
isnt(ask($other, 'SELECT id FROM imgexport.installation', 'copy'), ask($node, 'SELECT id FROM imgexport.installation'), 'F3.2: a copy with an identity of its own');
ask($other, "SELECT imgexport.reconcile('$_', true, '-1 h')", 'copy') foreach qw(files s3);
removals_done($other, 'copy');
is(objects(), $before, 'F3.2: removes nothing of the original either');
fill_stores($other, 'copy');
ask($other, 'DELETE FROM imgexport.image', 'copy');
removals_done($other, 'copy');
is(objects(), $before, 'F3.2: but its own');

# Adopted as the original: what was deleted before is not removed, unless that is wanted.
ask($other, 'CREATE DATABASE heir TEMPLATE template0');
command_ok([ 'pg_restore', '-e', '-h', $other->host, '-p', $other->port, '-d', 'heir', '--no-privileges', "$base/dump" ], 'another copy');
ask($other, "DELETE FROM imgexport.image WHERE store = 'files'", 'heir');
dormant($other, 'heir');
ask($other, 'CALL imgexport.adopt()', 'heir');
wait_for($other, "NOT imgexport.is_dormant() AND count(*) > 0 FROM imgexport.workers() WHERE database = 'heir' AND pid IS NOT NULL", 'a worker', 'heir');
removals_done($other, 'heir');
is(objects(), $before, 'F3.3: what was deleted before adoption stays in its store');
ask($other, "SELECT imgexport.reconcile('files', true, '-1 h')", 'heir');
removals_done($other, 'heir');
isnt(objects(), $before, 'F3.3: until reconcile finds it');

# Copies in the same server; a database that is only renamed is none.
ask($node, 'CREATE DATABASE shop');
ask($node, 'CREATE EXTENSION imgexport', 'shop');
ask($node, 'ALTER DATABASE shop RENAME TO store');
is(ask($node, 'SELECT imgexport.why_dormant() IS NULL', 'store'), 't', 'F3.4: a database that is renamed is no copy');
ask($node, 'CREATE DATABASE twin TEMPLATE store');
dormant($node, 'twin');
pass('F3.4: one that is made of it as a template is');
is(ask($node, 'SELECT imgexport.is_dormant()', 'store'), 'f', 'F3.4: and the template is none');
ask($node, 'CALL imgexport.adopt(new_identity => true)', 'twin');
$batch = ask($node, "SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs')", 'twin');
ask($node, "CALL imgexport.wait('$batch', '60s')", 'twin');
is(ask($node, "SELECT state FROM imgexport.job WHERE batch_id = '$batch'", 'twin'), 'completed', 'F3.4: adopted, it works');

# A clone of the files cannot be told from a failover, but by the setting.
my $id = ask($node, 'SELECT id FROM imgexport.installation');
my $twin = ask($node, 'SELECT id FROM imgexport.installation', 'twin');
my $store = ask($node, 'SELECT id FROM imgexport.installation', 'store');
ask($node, "ALTER SYSTEM SET imgexport.installation = '$id, $twin,$store'; SELECT pg_reload_conf()");
wait_for($node, "current_setting('imgexport.installation') <> ''", 'the setting');
is(ask($node, 'SELECT imgexport.why_dormant() IS NULL', $_), 't', "F3.5: $_ is listed") foreach qw(postgres twin store);
$node->backup('clone');
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'clone');
$clone->append_conf('postgresql.auto.conf', "imgexport.installation = 'none'");
$clone->start;
dormant($clone);
like(ask($clone, 'SELECT imgexport.why_dormant()'), qr/imgexport.installation does not list/, 'F3.5: a clone with another setting is dormant');
my ($code, $out, $errors) = $clone->psql('postgres', 'CALL imgexport.adopt()');
like($errors, qr/WARNING:  this database stays dormant: imgexport.installation does not list/, 'F3.5: which adopt does not overrule');
ask($clone, 'ALTER SYSTEM SET imgexport.installation = $$' . $id . '$$');
ask($clone, 'SELECT pg_reload_conf()');
wait_for($clone, "NOT imgexport.is_dormant() AND count(*) > 0 FROM imgexport.workers() WHERE database = 'postgres' AND pid IS NOT NULL", 'a worker');
pass('F3.5: a reload of the configuration ends it');
like(error_of($clone, "ALTER SYSTEM SET imgexport.installation = 'me'"), qr/22023.*neither the id of an installation nor none/s, 'F3.5: the setting takes ids');
$clone->stop;

# TRUNCATE is a way to delete rows as well.
ask($node, 'ALTER SYSTEM RESET imgexport.installation; SELECT pg_reload_conf()');
wait_for($node, "NOT imgexport.is_dormant() AND count(*) > 0 FROM imgexport.workers() WHERE database = 'postgres' AND pid IS NOT NULL", 'a worker');
ask($node, 'TRUNCATE imgexport.job CASCADE');
removals_done($node);
is(objects(), '', 'F8.4: TRUNCATE leaves no object without a row');

unlike(slurp_file($_->logfile), qr/PANIC|terminated by signal 11/, 'no server process crashed') foreach $node, $other, $clone;
$s3->stop;
$web->stop;
$node->stop;
$other->stop;
done_testing();
