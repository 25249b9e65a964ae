# What a worker lives through in its database.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('databases');
$node->init(allows_streaming => 1);
# Without autovacuum, whose transactions would be taken for the worker's.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'imgexport'\nmax_prepared_transactions = 5\nautovacuum = off");
$node->start;

my $picture = "img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 32)";

sub ask { my ($statement, $database) = @_; return $node->safe_psql($database // 'shop', $statement) }

# A job goes through in a database; returns its state.
sub job_runs
{
	my ($database) = @_;
	my $batch = ask("INSERT INTO imgexport.job (source, outputs) VALUES ($picture, '{\"png\": {}}') RETURNING batch_id", $database);

	ask("CALL imgexport.wait('$batch', '30s')", $database);
	return ask("SELECT state FROM imgexport.job WHERE batch_id = '$batch'", $database);
}

ask('CREATE DATABASE shop', 'postgres');
ask('CREATE DATABASE other', 'postgres');
ask('CREATE EXTENSION imgexport');
ask('CREATE EXTENSION imgexport', 'other');
is(job_runs('shop'), 'completed', 'CREATE EXTENSION in a running server is all it takes');
is(job_runs('other'), 'completed', 'in two databases too');

# Nothing is run where nothing is due.
$node->poll_query_until('shop', "SELECT count(*) = 0 FROM imgexport.job WHERE state <> 'completed'");
ask("SELECT pg_sleep(2), pg_stat_clear_snapshot()");
my $statistics = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'other'";
my $before = ask($statistics, 'postgres');
ask('SELECT pg_sleep(5)', 'postgres');
is(ask($statistics, 'postgres'), $before, 'an idle worker runs no transaction');

# Databases that are renamed, copied and dropped while a worker is in them.
ask('ALTER DATABASE other RENAME TO renamed', 'postgres');
is(job_runs('renamed'), 'completed', 'after RENAME the work goes on');
ask('CREATE DATABASE copy TEMPLATE renamed', 'postgres');
ask('CALL imgexport.adopt(new_identity => true)', 'copy');
is(job_runs('copy'), 'completed', 'a copy of a database has a worker of its own');
is(job_runs('renamed'), 'completed', 'and the template has its own again');
ask('DROP DATABASE renamed', 'postgres');
is(ask("SELECT count(*) FROM pg_database WHERE datname = 'renamed'", 'postgres'), 0, 'DROP DATABASE is not held up');
ask("INSERT INTO imgexport.job (source, recipe) SELECT $picture, '[{\"resize\": {\"width\": 2000}}]' FROM generate_series(1, 50)", 'copy');
ask('DROP DATABASE copy WITH (FORCE)', 'postgres');
pass('nor with a worker in the middle of its work');
like(error_of($node, 'BEGIN; DROP DATABASE shop', 'postgres'), qr/25001/, 'a DROP that fails');
is(job_runs('shop'), 'completed', 'costs nothing');

# The extension goes and comes back.
ask("INSERT INTO imgexport.job (source, recipe) SELECT $picture, '[{\"resize\": {\"width\": 2000}}]' FROM generate_series(1, 20)");
ask('DROP EXTENSION imgexport CASCADE');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'imgexport worker' AND datname = 'shop'")
  or fail('the worker stays without its extension');
ask('CREATE EXTENSION imgexport');
is(job_runs('shop'), 'completed', 'after DROP and CREATE EXTENSION it works again');

# A prepared transaction: its rows become visible long after the INSERT.
my $batch = ask('SELECT imgexport.new_id()');
ask("BEGIN; INSERT INTO imgexport.job (batch_id, source, outputs) VALUES ('$batch', $picture, '{\"png\": {}}'); PREPARE TRANSACTION 'later'");
ask('SELECT pg_sleep(2)');
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch'"), 0, 'prepared, not committed');
ask("COMMIT PREPARED 'later'");
$node->poll_query_until('shop', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'")
  or fail('a job of a prepared transaction');
pass('COMMIT PREPARED wakes the worker');

# Nothing runs on a standby; after its promotion it does.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'imgexport%'"), 0,
	'nothing of ours runs on a standby');
$node->wait_for_catchup($standby, 'replay');
$node->stop;
$standby->promote;
$batch = $standby->safe_psql('shop', "INSERT INTO imgexport.job (source, outputs) VALUES ($picture, '{\"png\": {}}') RETURNING batch_id");
$standby->poll_query_until('shop', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'")
  or fail('a job on a promoted standby');
pass('on a promoted standby work goes on by itself');

foreach my $server ($node, $standby)
{
	unlike(slurp_file($server->logfile), qr/PANIC|terminated by signal/, $server->name . ': no process crashed');
}
$standby->stop;

# Without preloading, images are computed and jobs are kept, with a warning.
my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION imgexport');
is($plain->safe_psql('postgres', "SELECT (img_info(img_flip($picture))).width"), 32, 'image functions need no preloading');
my ($code, $stdout, $stderr) = $plain->psql('postgres', "SELECT imgexport.submit(source => 'x') IS NOT NULL");
like($stderr, qr/WARNING:  no worker will run this job/, 'a job that nobody will run is warned of');
is($plain->safe_psql('postgres', "SELECT imgexport.health()->>'status'"), 'no worker', 'and health says so');
$plain->stop;
done_testing();
