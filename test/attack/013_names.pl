# A name in our SQL means what it says, whatever others have created before us or beside us.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('names');
$node->init;
$node->start;

# What fits calls of ours better than the functions that are meant, in the schema that CREATE EXTENSION
# puts first.  Each takes over the rights of whoever calls it.
$node->safe_psql('postgres', q{
	CREATE ROLE mallory LOGIN;
	GRANT CREATE ON SCHEMA public TO mallory;
	SET ROLE mallory;
	CREATE FUNCTION public.grab() RETURNS void LANGUAGE plpgsql AS $f$
	BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE mallory SUPERUSER'; END IF;
	END $f$;
	CREATE FUNCTION public.num_nonnulls(text, bytea) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 1; END $f$;
	CREATE FUNCTION public.num_nonnulls(bytea, text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 1; END $f$;
	CREATE FUNCTION public.num_nonnulls(bytea, jsonb) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 1; END $f$;
	CREATE FUNCTION public.num_nulls(int8, bytea) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 0; END $f$;
	CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN $1; END $f$;
	CREATE FUNCTION public.concat_ws(text, text, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN $1; END $f$;
	CREATE FUNCTION public.jsonb_build_object(text, text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN '{}'; END $f$;
	CREATE FUNCTION public.cardinality(uuid[]) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 1; END $f$;
	CREATE FUNCTION public.length(varchar) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN 1; END $f$;
	CREATE FUNCTION public.eq(name, varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN true; END $f$;
	CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = varchar, FUNCTION = public.eq);
	CREATE FUNCTION public.gt(interval, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN true; END $f$;
	CREATE OPERATOR public.> (LEFTARG = interval, RIGHTARG = text, FUNCTION = public.gt);
	CREATE FUNCTION public.cat(text, bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM public.grab(); RETURN $1; END $f$;
	CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = bytea, FUNCTION = public.cat);
});
$node->safe_psql('postgres', 'CREATE EXTENSION imgexport');

my $members = "SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'imgexport'";
# All that hangs on a member: its constraints, defaults, triggers, policies, rules, and theirs.
my $parts = "WITH RECURSIVE part(classid, objid) AS (
	$members UNION SELECT d.classid, d.objid FROM pg_depend d JOIN part p ON (d.refclassid, d.refobjid) = (p.classid, p.objid)
		WHERE d.deptype IN ('a', 'i', 'n') AND d.classid <> 'pg_extension'::regclass)";
my $strangers = "$parts SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' needs ' || pg_describe_object(d.refclassid, d.refobjid, 0)
	FROM pg_depend d JOIN part p ON (d.classid, d.objid) = (p.classid, p.objid)
	WHERE d.deptype = 'n' AND d.refclassid <> 'pg_namespace'::regclass AND d.refclassid <> 'pg_extension'::regclass AND d.refobjid >= 16384
	  AND NOT EXISTS (SELECT FROM part o WHERE (o.classid, o.objid) = (d.refclassid, d.refobjid)) ORDER BY 1";

is($node->safe_psql('postgres', $strangers), '', 'A1.2: nothing of the extension needs what was in the schema before it');
$node->safe_psql('postgres', q{
	INSERT INTO imgexport.job (source, outputs, depends_on) VALUES ('x', '{}'::jsonb || '{"png": {}}', ARRAY[imgexport.new_id()]);
	INSERT INTO imgexport.store (name, kind, location, retention) VALUES ('f', 'file', '/tmp', '1 day');
	INSERT INTO imgexport.signing_key (key_id) VALUES ('k')});
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'A1.2: and no row that a superuser writes runs it');

# The statements of the worker: each is parsed by PostgreSQL as the body of a function, which notes all that its names
# have come to mean, with the search_path that the worker pins and with impostors in every other schema.
my (%statements, @wrong);
my $headers = `$ENV{PG_CONFIG} --includedir-server`;
chomp $headers;
find({ no_chdir => 1, wanted => sub {
	return unless /\.c$/;
	my $text = slurp_file($_);
	# As the compiler reads it, with macros in their places: types are then numbers.
	my $read = $text =~ /WorkerStatement \w+ = / ? `gcc -E -P -D_GNU_SOURCE -DIMGEXPORT_VERSION='""' -Isrc -I$headers $_` : '';

	while ($read =~ /WorkerStatement (\w+) = \{(.*?)\};/gs)
	{
		my ($name, $body) = ($1, $2);
		my $sql = '';

		$sql .= $1 while $body =~ /\G\s*"((?:[^"\\]|\\.)*)"/gc;
		my ($count, $types) = $body =~ /\G\s*,\s*(\d+)\s*,\s*\{([^}]*)\}/s;
		$sql =~ s/\\(.)/$1/g;
		push @wrong, "$name cannot be read" if !defined $count || $sql eq '';
		$statements{"$name of $_"} = [ $sql, $count ? [ $types =~ /(\d+)/g ] : [] ];
	}
	push @wrong, "statements of $_ cannot be read" if $read ne '' && !grep { / of \Q$File::Find::name\E$/ } keys %statements;
	# Nobody else runs statements, but between taking rights (gate.c), which pins as well, and giving them back; nor
	# begins transactions in which they would run unpinned.
	push @wrong, "$_: $1" while $text !~ /\brights_take\(/ && $text =~ /\b(SPI_(?:exec|execute|execp|prepare_\w+|execute_with_args|prepare_cursor))\s*\(/g;
	push @wrong, "$_: $1" while m{/queue/} && !m{/(worker|launcher|evaluator|background)\.c$} && $text =~ /\b(StartTransactionCommand)\s*\(/g;
} }, 'src');
is_deeply(\@wrong, [], 'A1.3: the worker has one way to run a statement');
cmp_ok(scalar keys %statements, '>', 30, 'A1.3: statements of the worker');

my %type = map { split /=/ } split /\n/, $node->safe_psql('postgres', "SELECT oid || '=' || format_type(oid, NULL) FROM pg_type WHERE oid < 16384");
my $setup = "CREATE SCHEMA probe; CREATE TEMP TABLE job (x int); CREATE TEMP TABLE queue (x int); CREATE TEMP TABLE image (x int);
	CREATE FUNCTION pg_temp.unnest(text[]) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
	SET search_path = pg_catalog, pg_temp;\n";
my $number = 0;
foreach my $name (sort keys %statements)
{
	my ($sql, $types) = @{ $statements{$name} };
	$setup .= sprintf "CREATE FUNCTION probe.s%d(%s) RETURNS void BEGIN ATOMIC %s; END; COMMENT ON FUNCTION probe.s%d IS '%s';\n",
	  ++$number, join(', ', map { $type{$_} } @$types), $sql, $number, $name;
}
my ($code, $out, $err) = $node->psql('postgres', $setup . "
	SELECT DISTINCT obj_description(d.objid, 'pg_proc') || ' needs ' || pg_describe_object(d.refclassid, d.refobjid, 0)
	FROM pg_depend d JOIN pg_proc p ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	WHERE p.pronamespace = 'probe'::regnamespace AND d.deptype = 'n' AND d.refobjid >= 16384 AND d.refclassid <> 'pg_namespace'::regclass
	  AND NOT EXISTS (SELECT FROM ($parts SELECT * FROM part) o WHERE (o.classid, o.objid) = (d.refclassid, d.refobjid)) ORDER BY 1;
	SELECT 'read ' || count(*) FROM pg_proc WHERE pronamespace = 'probe'::regnamespace");
is($err, '', 'A1.3: each is parsed with the search_path that the worker pins');
is($out, "read $number", "A1.3: in none of them does a name mean anything but PostgreSQL's and ours");

# Functions in SQL and PL/pgSQL: all of them pin it as well, and none takes it back.
is($node->safe_psql('postgres', "SELECT string_agg(p.oid::regprocedure::text, ', ') FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
	WHERE m.classid = 'pg_proc'::regclass AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
	  AND p.prosqlbody IS NULL AND (p.proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig)
		OR p.prosrc ~* 'search_path')"), '', 'A1.3: every function pins its search_path');
# In them, too, a table is named with its schema: pg_temp is in the path.
is($node->safe_psql('postgres', "WITH body AS (
		SELECT p.oid, regexp_replace(regexp_replace(p.prosrc, '''([^'']|'''')*''', '', 'g'), '--[^\n]*', '', 'g') AS source
		FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
		WHERE m.classid = 'pg_proc'::regclass AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))),
	used AS (
		SELECT b.oid, b.source, r[1] AS name
		FROM body b, regexp_matches(b.source, '\\m(?:FROM|JOIN|INTO|UPDATE|USING)\\M\\s+(?:ONLY\\s+)?([a-z_]+)\\M(?!\\s*[.(])', 'g') AS r)
	SELECT string_agg(DISTINCT u.name || ' in ' || u.oid::regproc::text, ', ') FROM used u
	WHERE EXISTS (SELECT FROM pg_class c WHERE c.relname = u.name AND c.relnamespace = 'imgexport'::regnamespace AND c.relkind IN ('r', 'v'))
	  -- ... or it is a WITH, a variable or an alias of that name.
	  AND u.source !~ ('\\m' || u.name || '\\M\\s*(\\([^)]*\\))?\\s+AS\\s+(MATERIALIZED\\s+)?\\(') AND u.source !~ ('\\m(INTO|FROM|JOIN)\\s+' || u.name || '\\s*\\n?\\s*FROM')
	  AND u.source !~ ('\\m' || u.name || '\\s+(imgexport\\.|record|text|jsonb)')"), '', 'A1.3: tables in functions are named with their schema');

$node->stop;
done_testing();
