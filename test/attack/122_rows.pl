# Extreme values in every column that a role may write: each row costs its own job at most.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rows', "max_stack_depth = '3MB'");
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }

ask("CREATE ROLE app; CREATE ROLE other; CALL imgexport.grant_access('app'); CALL imgexport.grant_access('other')");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM imgexport.workers() WHERE pid IS NOT NULL'), 'a worker runs');
my $pid = ask('SELECT pid FROM imgexport.workers()');

# By the type of a column, in SQL.
my $raw = '00000000-0000-0000-0000-00000000000a';
my $id = "'$raw'";
my %extremes = (
	bool => [qw(true false NULL)],
	int4 => [qw(-2147483648 -1 0 1 2147483647 NULL)],
	int8 => [qw(-9223372036854775808 0 9223372036854775807 NULL)],
	uuid => [ "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", $id, 'NULL' ],
	_uuid => [ "'{}'", "'{NULL}'", "'{{$raw}}'", "'[7:7]={$raw}'", "ARRAY[$id]::uuid[]", 'NULL',
		"(SELECT array_agg(imgexport.new_id()) FROM generate_series(1, 1000))", "(SELECT array_agg(imgexport.new_id()) FROM generate_series(1, 100000))",
		"(SELECT array_agg($id\::uuid) FROM generate_series(1, 1000))" ],
	name => [ "''", "repeat('x', 63)", "'pg_signal_backend'", "'postgres'", 'NULL', "E'\\x01'" ],
	text => [ "''", "' '", "repeat('x', 5000000)", "repeat('\"', 190)", "E'\\x01\\n\\r'", "'preset:' || repeat('x', 190)", "'preset:nowhere'", "'preset:jpeg'", "'skip'", "'store_url'",
		"'keep_original'", "'default'", "'jpeg'", "'product'", "'table'", "'processing'", "'completed'", "'; DROP TABLE imgexport.job; --'", "'NaN'", 'NULL',
		"'http://127.0.0.1:1/' || repeat('x', 7900)", "'http://127.0.0.1:1/' || repeat('x', 1900)", "'http://127.0.0.1:99999/'", "E'http://127.0.0.1:1/\\n\\r a'", "'http://[::1'", "'http://'",
		"'HTTP://127.0.0.1:1'", "'http://a:b\@127.0.0.1/'" ],
	jsonb => [ "'null'", "'[]'", "'{}'", "'0'", "'\"x\"'", "'[[]]'", "'[null]'", "'[{}]'", "'{\"\": {}}'", "'{\"a\": null}'", 'NULL', "to_jsonb(repeat('x', 5000000))", "(repeat('[', 2000) || repeat(']', 2000))::jsonb",
		"('1' || repeat('0', 100000))::jsonb", "(SELECT jsonb_agg(n) FROM generate_series(1, 100000) AS n)", "(SELECT jsonb_object_agg(n, '{}'::jsonb) FROM generate_series(1, 20000) AS n)",
		"(SELECT jsonb_agg('grayscale'::text) FROM generate_series(1, 5000))", "'[\"nowhere\"]'", "'[{\"resize\": {\"width\": 1e300}}]'", "'[{\"blur\": {\"sigma\": \"NaN\"}}]'",
		"'{\"x\": {\"width\": 2147483647}}'", "'{\"x\": {\"quality\": -1}}'", "'{\"x\": {\"steps\": [\"grayscale\"]}}'", "jsonb_build_object('x', jsonb_build_object('format', repeat('x', 1000)))" ],
	timestamptz => [ "'infinity'", "'-infinity'", "'294276-12-31 23:59:59+00'", "'4713-01-01 00:00:00+00 BC'", "'9999-12-30'", "'1970-01-02'", "'epoch'", 'NULL' ],
	interval => [ "'178000000 years'", "'-178000000 years'", "'2147483647 months 2147483647 days'", "'1000 years'", "'999 years'", "'1 microsecond'", "'0'", "'-1 day'", 'NULL' ],
	bytea => [ "''", "'\\x00'", "decode(repeat('00', 3000000), 'hex')", "'\\xffd8ffe0'", "'\\x89504e470d0a1a0a'", $image, 'NULL' ]);

# What the rest of the row is, where the column is not among it.
my %rows = (job => [ { source => $image }, { milestone => 'true' } ], batch => [ {} ],
	product => [ { batch_id => $id, product_index => 'nextval(\'n\')' } ], csv_upload => [ { '"Input Image URLs"' => "'http://127.0.0.1:1/a.jpg'" } ]);
ask("CREATE SEQUENCE public.n; GRANT USAGE ON SEQUENCE public.n TO app; GRANT CREATE ON SCHEMA public TO app");
my @columns = map { [ split /\|/ ] } split /\n/, ask("SELECT c.relname, quote_ident(a.attname), coalesce(b.typname, t.typname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
	WHERE c.relnamespace = 'imgexport'::regnamespace AND c.relkind IN ('r', 'v') AND a.attgenerated = '' AND has_table_privilege('app', c.oid, 'INSERT') ORDER BY c.relname, a.attnum");
cmp_ok(scalar @columns, '>', 50, 'columns that a role may write');
is_deeply([ sort { $a cmp $b } grep { !$extremes{$_} } map { $_->[2] } @columns ], [], 'there are extremes for each type');
is_deeply([ grep { !$rows{$_} } map { $_->[0] } @columns ], [], 'and a row for each table');

my (@statements, %named);
foreach my $column (@columns)
{
	my ($table, $name, $type) = @$column;

	foreach my $row (@{ $rows{$table} })
	{
		foreach my $value (@{ $extremes{$type} })
		{
			my %all = (%$row, $name => $value);

			push @statements, "INSERT INTO imgexport.$table (" . join(', ', sort keys %all) . ') VALUES (' . join(', ', map { $all{$_} } sort keys %all) . ')';
			$named{"$table.$name"}++;
		}
	}
}
# And those that go together.
push @statements, map { "INSERT INTO imgexport.job (source_url, webhook_url, on_error, max_attempts, metadata, notify) VALUES ('http://127.0.0.1:1/x.jpg', 'http://127.0.0.1:1/hook', '$_', 1, (SELECT jsonb_object_agg(n, n) FROM generate_series(1, 10000) AS n), true)" }
  qw(fail skip keep_original store_url preset:jpeg);
ask("CREATE FUNCTION public.state_of(statement text) RETURNS text LANGUAGE plpgsql AS
	\$\$ BEGIN EXECUTE statement; RETURN '00000'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END \$\$");
my $states = ask("SET client_min_messages = error; SET ROLE app; " . join '', map { my $s = $_; "SELECT public.state_of(\$s\$$s\$s\$);\n" } @statements);
my %states;
$states{$_}++ foreach split /\n/, $states;
note(join ', ', map { "$_: $states{$_}" } sort keys %states);
cmp_ok($states{'00000'}, '>', 200, 'B1.1: rows that are taken');
cmp_ok($states{'42501'} + $states{'23514'}, '>', 200, 'B1.1: and that are refused');
is_deeply([ grep { !/^(00000|42501|23514|23502|23505|22023|22P04|22008|54001|22003|54000)$/ } sort keys %states ], [], 'B1.1: for a reason that was thought of');

my $batch = ask("SET ROLE other; INSERT INTO imgexport.job (source, priority) VALUES ($image, 100) RETURNING batch_id");
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'"), "B1.1: another role's job is completed");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing') AND NOT blocked AND run_at <= now() AND source_url IS NULL"), 'B1.1: every job that can run ends');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.delivery WHERE state IN ('pending', 'processing') AND attempts = 0"), 'B1.1: every webhook is tried');
$batch = ask("SET ROLE other; INSERT INTO imgexport.job (source) VALUES ($image) RETURNING batch_id");
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'"), "B1.1: another role's job is completed afterwards");
is(ask('SELECT pid FROM imgexport.workers()'), $pid, 'B1.1: by the worker that was there before');
my @trouble = grep { /\[$pid\].*(ERROR|FATAL|PANIC|WARNING):/ } split /\n/, slurp_file($node->logfile);
is_deeply(\@trouble, [], 'B1.1: which has nothing to complain of');
is(ask("SELECT string_agg(DISTINCT owner, ' ') FROM imgexport.job WHERE batch_id <> '$batch'") =~ s/ ?other ?//r, 'app', 'B1.1: all is the role\'s own');

# Reading all of it works for those who see all.
ok(ask("SELECT count(*) FROM (SELECT imgexport.status(batch_id), imgexport.why(job_id, batch_id) FROM imgexport.job) AS s") > 100, 'B1.1: status and why say something of each');
ok(ask("SELECT length(imgexport.gallery()::text) > 100 AND length(imgexport.metrics_prometheus()) > 100 AND imgexport.health() IS NOT NULL"), 'B1.1: and so do gallery, metrics and health');
foreach my $task (qw(expire_images delete_jobs clean_temp clean_outputs release_claims))
{
	ok(ask("SELECT imgexport.run_task('$task')"), "B1.1: the task $task gets through");
}
$node->stop;
done_testing();
