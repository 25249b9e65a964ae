# Whose a row is: roles that come and go, batches that others know of, and what a role may not write.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Test::More;

my $node = new_node('owners');
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }
sub refused { my ($statement, $state, $name) = @_; return like(error_of($node, $statement), qr/ERROR:  $state/, $name) }
sub finished { my ($batch) = @_; return $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE batch_id = '$batch' AND state IN ('pending', 'processing')") }

ask("CREATE ROLE anna LOGIN; CREATE ROLE eve LOGIN; CALL imgexport.grant_access('anna'); CALL imgexport.grant_access('eve')");

# C4: everything that a role can own.
my $hook = 'http://127.0.0.1:9/hook';
my $batch = ask("SET ROLE anna; SELECT imgexport.submit(source => $image, unique_key => 'key', webhook_url => '$hook')");
finished($batch);
ask("SET ROLE anna; INSERT INTO imgexport.product (batch_id, product_index) VALUES ('$batch', 0)");
my $secret = ask("SET ROLE anna; SELECT imgexport.webhook_secret('$hook')");
my $image_id = ask("SELECT image_id FROM imgexport.image WHERE batch_id = '$batch'");
my @owned = split /\n/, ask("SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'imgexport'::regnamespace AND a.attname = 'owner' AND c.relkind = 'r' AND c.relrowsecurity ORDER BY 1");
cmp_ok(scalar @owned, '>=', 7, 'C4: tables whose rows have owners');
sub seen { my ($role) = @_; return join ' ', map { ask("SET ROLE $role; SELECT count(*) FROM $_") } @owned }
my $before = seen('anna');
unlike($before, qr/\b0\b/, "C4: a role sees rows of its own in each of @owned");
is(seen('eve'), join(' ', ('0') x @owned), 'C4: and another role none');
my $waiting = ask("SET ROLE anna; INSERT INTO imgexport.job (source, run_at) VALUES ($image, now() + interval '1 day') RETURNING batch_id");
$before = seen('anna');
ask('ALTER ROLE anna RENAME TO anne');
is(seen('anne'), $before, 'C4: a role that is renamed keeps its rows');
is(ask("SET ROLE anne; SELECT imgexport.webhook_secret('$hook')"), $secret, 'C4: ... its secrets');
like(ask("SET ROLE anne; SELECT imgexport.url('$image_id')"), qr/$image_id/, 'C4: ... its images');
isnt(ask("SET ROLE anne; SELECT imgexport.submit(source => $image, unique_key => 'key')"), $batch, 'C4: ... and its keys');
ask("UPDATE imgexport.job SET run_at = now() WHERE batch_id = '$waiting'; SELECT imgexport.wake()");
finished($waiting);
is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$waiting'"), 'completed', 'C4: its jobs run');

# Somebody new comes by the name.
ask("CREATE ROLE anna; CALL imgexport.grant_access('anna')");
is(seen('anna'), join(' ', ('0') x @owned), 'C4: a role that gets the name of a renamed one sees none of its rows');
ask('DROP OWNED BY anna; DROP ROLE anna');
$waiting = ask("SET ROLE anne; INSERT INTO imgexport.job (source, run_at) VALUES ($image, now() + interval '1 day') RETURNING batch_id");
my $key = ask("SET ROLE anne; SELECT imgexport.submit(source => $image, unique_key => 'open', run_at => now() + interval '1 day')");
ask('DROP OWNED BY anne; DROP ROLE anne');
foreach my $name (qw(anna anne))
{
	ask("CREATE ROLE $name; CALL imgexport.grant_access('$name')");
	is(seen($name), join(' ', ('0') x @owned), "C4: a role that is made anew by the name $name sees nothing");
	isnt(ask("SET ROLE $name; SELECT imgexport.webhook_secret('$hook')"), $secret, 'C4: ... has secrets of its own');
	is(ask("SET ROLE $name; SELECT imgexport.url('$image_id') IS NULL AND imgexport.source_path('$batch', '$batch') IS NULL"), 't', 'C4: ... no URL')
	  if ask("GRANT EXECUTE ON FUNCTION imgexport.source_path TO $name; SELECT 't'");
	is(ask("SET ROLE $name; SELECT imgexport.cancel('$key') + imgexport.retry('$batch') + imgexport.delete_batch('$batch') + imgexport.replay('$batch')"), 0, 'C4: ... steers nothing');
	isnt(ask("SET ROLE $name; SELECT imgexport.submit(source => $image, unique_key => 'open', run_at => now() + interval '1 day')"), $key, 'C4: ... and has keys of its own');
}
ask("UPDATE imgexport.job SET run_at = now() WHERE batch_id = '$waiting'; SELECT imgexport.wake()");
finished($waiting);
like(ask("SELECT state || error FROM imgexport.job WHERE batch_id = '$waiting'"), qr/failed.*does not exist any more/, 'C4: a job whose owner is gone fails, and says so');
is(ask('SELECT count(DISTINCT label) = count(*) AND count(*) >= 3 FROM imgexport.owner_role'), 't', 'C4: every role has a label');

# The label is the role's that acts, whoever connected.
ask("CREATE FUNCTION public.as_eve() RETURNS name LANGUAGE sql SECURITY DEFINER AS 'SELECT imgexport.current_owner()'; ALTER FUNCTION public.as_eve() OWNER TO eve");
is(ask("SET ROLE anna; SELECT public.as_eve(), imgexport.current_owner() LIKE 'anna%'"), 'eve|t', 'C4.1: SECURITY DEFINER acts as its owner');
is(ask("BEGIN; SET LOCAL ROLE eve; SAVEPOINT a; INSERT INTO imgexport.job (milestone) VALUES (true); ROLLBACK TO a; SELECT imgexport.current_owner(); COMMIT; SELECT imgexport.current_owner()"),
	"eve\npostgres", 'C4.1: a rollback forgets nothing and remembers nothing');
is(ask("SET ROLE eve; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on;
	SELECT imgexport.current_owner()"), 'eve', 'C4.1: in a parallel worker too');
# A role whose first row waits for the first row of one that had its name.
ask('CREATE ROLE kim; CALL imgexport.grant_access(\'kim\')');
my $old = $node->background_psql('postgres');
$old->query("BEGIN; SET LOCAL ROLE kim; INSERT INTO imgexport.job (milestone) VALUES (true)");
ask('DROP OWNED BY kim; DROP ROLE kim; CREATE ROLE kim; CALL imgexport.grant_access(\'kim\')');
my $new = $node->background_psql('postgres', on_error_stop => 0);
$new->{stdin} .= "SET ROLE kim; INSERT INTO imgexport.job (milestone) VALUES (true);\n";
$new->{run}->pump_nb;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
$old->query('COMMIT');
$new->query('SELECT 1');
$new->query('INSERT INTO imgexport.job (milestone) VALUES (true)');
is(ask("SELECT count(DISTINCT owner) FROM imgexport.job WHERE owner LIKE 'kim%'"), 2, 'C4.2: two roles of one name that write their first rows at once are told apart');
$old->quit;
$new->quit;

# C1: one owner a batch.
my $owned = ask("SET ROLE anna; SELECT imgexport.submit(source => $image)");
foreach my $insert ("imgexport.job (batch_id, source) VALUES ('$owned', $image)", "imgexport.job (batch_id, milestone, webhook_url) VALUES ('$owned', true, '$hook')",
	"imgexport.batch (batch_id) VALUES ('$owned')", "imgexport.product (batch_id, product_index, product_name) VALUES ('$owned', 7, 'mine')",
	"imgexport.job (batch_id, job_id, milestone, depends_on) SELECT '$owned', imgexport.new_id(), true, ARRAY['$owned'::uuid]")
{
	refused("SET ROLE eve; INSERT INTO $insert", 42501, "C1: a stranger may not INSERT INTO $insert");
}
my $single = ask("SET ROLE anna; INSERT INTO imgexport.job (source) VALUES ($image) RETURNING batch_id");
refused("SET ROLE eve; INSERT INTO imgexport.job (batch_id, source) VALUES ('$single', $image)", 42501, 'C1: nor into a batch without a row');
refused("SET ROLE eve; BEGIN; SAVEPOINT a; INSERT INTO imgexport.job (milestone) VALUES (true); INSERT INTO imgexport.job (batch_id, source) VALUES ('$single', $image); COMMIT", 42501, 'C1: nor after a row of his own');
ask("SET ROLE anna; INSERT INTO imgexport.job (batch_id, source) VALUES ('$owned', $image)");
pass('C1: its owner may');
refused("SET ROLE eve; SET imgexport.uploaded_batch = '$owned'; INSERT INTO imgexport.csv_upload SELECT '1', 'x', 'http://127.0.0.1/a.jpg' FROM set_config('imgexport.uploaded_batch', '$owned', false)", 42501, 'C1: nor by a setting');

# Two roles that begin one batch at the same time: one of them has it.
foreach my $end (qw(COMMIT ROLLBACK))
{
	my $id = ask('SELECT gen_random_uuid()');
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1, 2;
	$sessions[0]->query("SET ROLE anna; BEGIN; INSERT INTO imgexport.job (batch_id, milestone) VALUES ('$id', true)");
	$sessions[1]->{stdin} .= "SET ROLE eve; INSERT INTO imgexport.job (batch_id, milestone) VALUES ('$id', true);\n";
	$sessions[1]->{run}->pump_nb;
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
	$sessions[0]->query($end);
	$sessions[1]->query('SELECT 1');
	like(ask("SELECT string_agg(owner, ' ') FROM imgexport.job WHERE batch_id = '$id'"), $end eq 'COMMIT' ? qr/^anna\S*$/ : qr/^eve$/, "C1: a batch that two begin at once is one's: $end");
	$_->quit foreach @sessions;
}

# B2, B3: what a role may not write or lock.
foreach my $what ("attempts = 2147483647", "state = 'completed'", "worker = 'x'", "lease_until = now()", "error = 'x'", "warnings = '[]'", "timings = '{}'", "finished_at = now()",
	"started_at = now()", "source_bytes = 1", "dependencies_done = 5", "waits_for = '$owned'", "owner = 'anna'", "owner = 'postgres'", "error_code = 'x'")
{
	my ($column, $value) = split / = /, $what;
	refused("SET ROLE eve; INSERT INTO imgexport.job (milestone, $column) VALUES (true, $value)", 42501, "B1: a role may not INSERT a job with $what");
}
foreach my $what ("completed = 1", "failed = -1", "warned = 2147483647", "finished_at = now(), total = 1", "owner = 'anna'")
{
	my %set = map { split / = /, $_, 2 } split /, /, $what;
	refused('SET ROLE eve; INSERT INTO imgexport.batch (' . join(', ', sort keys %set) . ') VALUES (' . join(', ', map { $set{$_} } sort keys %set) . ')', 42501, "B1: nor a batch with $what");
}
my @tables = split /\n/, ask("SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'imgexport'::regnamespace AND relkind IN ('r', 'v', 'p') ORDER BY 1");
my @attempts;
foreach my $table (@tables)
{
	my $first = ask("SELECT attname FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum = 1");

	push @attempts, map { "LOCK TABLE $table IN $_ MODE" } 'ROW SHARE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE';
	push @attempts, "UPDATE $table SET \"$first\" = NULL", "DELETE FROM $table", "TRUNCATE $table", "SELECT FROM $table FOR UPDATE", "SELECT FROM $table FOR KEY SHARE",
	  "CREATE TRIGGER t AFTER INSERT ON $table EXECUTE FUNCTION suppress_redundant_updates_trigger()", "CREATE RULE r AS ON INSERT TO $table DO INSTEAD NOTHING",
	  "CREATE POLICY p ON $table", "ALTER TABLE $table DISABLE ROW LEVEL SECURITY", "CREATE INDEX ON $table ((1))", "COMMENT ON TABLE $table IS 'x'";
}
my @bad = split /\n/, ask("CREATE FUNCTION public.state_of(statement text) RETURNS text LANGUAGE plpgsql AS
	\$\$ BEGIN EXECUTE statement; RETURN '00000'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END \$\$;
	SET ROLE eve; SELECT s, public.state_of(s) FROM unnest(ARRAY[" . join(', ', map { "\$s\$$_\$s\$" } @attempts) . "]) AS s
	WHERE public.state_of(s) NOT IN ('42501', '42809', '0A000', '55000')");
is_deeply(\@bad, [], 'B3: a role may not lock, change or hang something on any of our tables and rows');
ask("CREATE SCHEMA lair AUTHORIZATION eve");
refused("SET ROLE eve; CREATE TABLE lair.x (a uuid, b uuid, FOREIGN KEY (a, b) REFERENCES imgexport.job)", 42501, 'B3: nor refer to them');
is(ask("SELECT count(*) FROM (SELECT (aclexplode(relacl)).* FROM pg_class WHERE relnamespace = 'imgexport'::regnamespace) a
	WHERE grantee = 'eve'::regrole AND privilege_type NOT IN ('SELECT', 'INSERT')"), 0, 'B3: it has nothing but SELECT and INSERT');
is(ask("SELECT count(*) FROM pg_attribute a, aclexplode(a.attacl) g WHERE g.grantee = 'eve'::regrole AND g.privilege_type <> 'SELECT'"), 0, 'B3: and writes no single column');

# Keys of one owner are not another's to hold.
my $holder = $node->background_psql('postgres');
$holder->query("SET ROLE eve; BEGIN; INSERT INTO imgexport.job (milestone, unique_key) VALUES (true, 'k')");
ok(ask("SET ROLE anna; SET statement_timeout = '20s'; SELECT imgexport.submit(source => $image, unique_key => 'k')"), 'B3: a key that one role holds keeps no other waiting');
$holder->quit;
refused("SET ROLE eve; INSERT INTO imgexport.job (milestone, unique_key, owner) VALUES (true, 'k', 'anna')", 42501, 'B3: nor can it be taken in the name of another');

# Priorities.
refused("SET ROLE eve; INSERT INTO imgexport.job (milestone, priority) VALUES (true, 2147483647)", 22023, 'A4: a priority has a limit');
refused("SET ROLE eve; SELECT imgexport.submit(source => $image, priority => 101)", 22023, 'A4: in submit too');
ask("UPDATE imgexport.queue SET max_priority = 5 WHERE name = 'batch'");
refused("SET ROLE eve; SELECT imgexport.submit_batch('[{\"milestone\": true, \"priority\": 6}]')", 22023, 'A4: which is the queue\'s');
ok(ask("SET ROLE eve; SELECT imgexport.submit(source => $image, priority => 100)"), 'A4: up to it any will do');

$node->stop;
done_testing();
