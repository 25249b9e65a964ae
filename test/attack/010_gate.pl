# Whose something is, is decided by the role that really calls: not by the session's user, and not
# by a setting that a session can make up.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Without preload: each session loads the library when it first needs it, or too late.
my $node = PostgreSQL::Test::Cluster->new('gate');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION imgexport;
	CREATE ROLE app LOGIN; CREATE ROLE victim LOGIN; CREATE ROLE plain LOGIN;
	CALL imgexport.grant_access('app'); CALL imgexport.grant_access('victim');
	CREATE SCHEMA app AUTHORIZATION app;
	INSERT INTO imgexport.job (batch_id, job_id, owner, source, state) VALUES
		('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000c1', 'victim', 'x', 'completed'),
		('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000c2', 'app', 'x', 'completed');
	INSERT INTO imgexport.image (batch_id, job_id, image_id, owner, name, format, bytes, sha256, data) VALUES
		('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000c1',
		 '00000000-0000-0000-0000-0000000000d1', 'victim', 'o', 'png', 1, 'x', 'x'),
		('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000c2',
		 '00000000-0000-0000-0000-0000000000d2', 'app', 'o', 'png', 1, 'x', 'x');
	INSERT INTO imgexport.service (name, kind, url, allowed_role) VALUES ('paid', 'background', 'http://127.0.0.1:1/', 'victim');
	GRANT EXECUTE ON FUNCTION imgexport.variant_url, imgexport.source_path TO app, victim;
	SET ROLE app;
	CREATE TABLE app.seen (what text, url text);
	-- Of the victim's image everything that a caller may get of his own.
	CREATE FUNCTION app.steal(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
	DECLARE stolen text;
	BEGIN
		stolen := imgexport.url('00000000-0000-0000-0000-0000000000d1', '10 years');
		RAISE NOTICE 'url %', stolen;
		RAISE NOTICE 'variant %', imgexport.variant_url('00000000-0000-0000-0000-0000000000d1');
		RAISE NOTICE 'source %', imgexport.source_path('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000c1');
		RAISE NOTICE 'own %', imgexport.url('00000000-0000-0000-0000-0000000000d2', '1 hour');
		BEGIN
			PERFORM imgexport.describe_service('paid', '{}');
			RAISE NOTICE 'service paid';
		EXCEPTION WHEN insufficient_privilege THEN NULL;
		END;
		RETURN 1;
	END $f$;
	CREATE TABLE app.trap (i int);
	INSERT INTO app.trap SELECT generate_series(1, 10);
});

# What notices say of the victim's things, and whether app's own are there.
sub stolen
{
	my ($statements, %connection) = @_;
	my ($code, $stdout, $stderr) = $node->psql('postgres', $statements,
		extra_params => [ map { ('-U', $_) } grep { defined } $connection{user} ]);

	return join '; ', sort grep { !/<NULL>/ } map { /NOTICE:  ((?:url|variant|source|bytes|service) .*)/ ? $1 : () }
	  split /\n/, $stderr;
}

sub own
{
	my ($statements, %connection) = @_;
	my ($code, $stdout, $stderr) = $node->psql('postgres', $statements,
		extra_params => [ map { ('-U', $_) } grep { defined } $connection{user} ]);

	return scalar(() = $stderr =~ /NOTICE:  own \/api\/download\//g);
}

is(stolen('SELECT app.steal(1)', user => 'app'), '', "A5: a role gets nothing of another's");
is(own('SELECT app.steal(1)', user => 'app'), 1, 'A5: and its own');
is(stolen('SET ROLE app; SELECT app.steal(1)'), '', 'A5: nor after SET ROLE in the session of a superuser');
is(own('SET ROLE app; SELECT app.steal(1)'), 1, 'A5: and its own there');

# A superuser's session in which app's code runs as app: maintenance of a table with an index on it.
$node->safe_psql('postgres', 'SET ROLE app; CREATE INDEX trap_i ON app.trap (app.steal(i))');
is(stolen('ANALYZE app.trap'), '', "A5: nothing by ANALYZE of an index expression");
is(own('ANALYZE app.trap'), 10, 'A5: which has called the function, as its owner');
is(stolen('REINDEX TABLE app.trap'), '', 'A5: nor by REINDEX');

# A function of app's that is SECURITY DEFINER acts for app, whoever calls it.
$node->safe_psql('postgres', q{
	SET ROLE app;
	CREATE FUNCTION app.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT app.steal(1)';
	GRANT USAGE ON SCHEMA app TO victim;
});
is(stolen('SELECT app.definer()', user => 'victim'), '', "A5: nothing by a SECURITY DEFINER function that the victim calls");
is(own('SELECT app.definer()', user => 'victim'), 1, 'A5: it acts for its owner');

# By itself: autovacuum.
$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1\nlog_min_messages = notice");
$node->safe_psql('postgres', 'ALTER TABLE app.trap SET (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0)');
my $offset = -s $node->logfile;
$node->reload;
$node->safe_psql('postgres', 'SET ROLE app; UPDATE app.trap SET i = i + 1; UPDATE app.trap SET i = i + 1');
ok($node->poll_query_until('postgres',
	"SELECT autoanalyze_count > 0 FROM pg_stat_user_tables WHERE relname = 'trap'"), 'autovacuum comes by');
my @lines = grep { /NOTICE:  (?:url|variant|source|bytes|service) (?!<NULL>)/ }
  split /\n/, slurp_file($node->logfile, $offset);
is_deeply(\@lines, [], 'A5: nothing by autovacuum');

# A setting of the session's own making.
foreach my $setting (qw(serves_all role url_clock_tolerance))
{
	my ($code, $stdout, $stderr) = $node->psql('postgres',
		"SET imgexport.$setting = on; SELECT imgexport.url('00000000-0000-0000-0000-0000000000d1')",
		extra_params => [ '-U', 'app' ]);

	is("$code $stdout", '0 ', "A6: no URL of another's image by imgexport.$setting");
}
is($node->safe_psql('postgres', "SELECT imgexport.url('00000000-0000-0000-0000-0000000000d2')",
		extra_params => [ '-U', 'app' ]),
	'/static/output/00000000-0000-0000-0000-0000000000d2.png', 'A6: a URL in a session that has not loaded the library');

# Whatever reads one of our settings has loaded the library first: each in a session of its own.
my ($url) = $node->safe_psql('postgres', "SELECT imgexport.sign_url('/x', '1 hour')");
foreach my $call (
	"imgexport.verify_url('$url')", "imgexport.variant_refusal('a.b', '/img/x')", 'imgexport.health()',
	"imgexport.check_submission('jpeg', 'default')", "imgexport.why('00000000-0000-0000-0000-0000000000c1')",
	'imgexport.uploaded_batch()', 'imgexport.check()', 'imgexport.metrics_json()', 'imgexport.gallery()')
{
	my ($code, $stdout, $stderr) = $node->psql('postgres', "SELECT $call");

	unlike($stderr, qr/configuration parameter/, "A6: $call needs no library");
	is($code, 0, "A6: $call is answered");
}

# Who may not execute a function does not by way of something that runs it.
like(error_of($node, "SET ROLE plain; SELECT imgexport.url('00000000-0000-0000-0000-0000000000d1')"),
	qr/42501/, 'A5.1: the gate is open to those alone who may execute the function');
like(error_of($node, "SET ROLE app; SELECT imgexport.url_as('victim', '00000000-0000-0000-0000-0000000000d1', NULL)"),
	qr/42501/, 'A5.1: nobody goes round it');
$node->safe_psql('postgres', q{
	CREATE OPERATOR public.<% (LEFTARG = uuid, RIGHTARG = interval, FUNCTION = imgexport.url);
	SET ROLE plain;
});
like(error_of($node, "SET ROLE plain; SELECT '00000000-0000-0000-0000-0000000000d1'::uuid <% interval '1 hour'"),
	qr/42501/, 'A5.1: nor by an operator');

# What a session may set changes no meaning of a statement behind the gate.
foreach my $set ('standard_conforming_strings = off', "search_path = 'app, pg_catalog'", 'transform_null_equals = on',
	"DateStyle = 'German'", "IntervalStyle = 'sql_standard'", 'bytea_output = escape', 'array_nulls = off')
{
	is($node->safe_psql('postgres', q{
			SET client_min_messages = error;
			SET } . $set . q{;
			SELECT regexp_replace(imgexport.url('00000000-0000-0000-0000-0000000000d2', '1 hour'), '[?].*', '')
				   || imgexport.url('00000000-0000-0000-0000-0000000000d1', '1 hour') IS NULL,
				   imgexport.variant_url('00000000-0000-0000-0000-0000000000d2', 'w_10,h_10') ~ '^/img/'},
			extra_params => [ '-U', 'app' ]), 't|t', "A6.1: the same with $set");
}
is($node->safe_psql('postgres', q{
		SET search_path = app, pg_catalog; SET bytea_output = escape;
		SELECT imgexport.url('00000000-0000-0000-0000-0000000000d2');
		SHOW search_path; SHOW bytea_output},
		extra_params => [ '-U', 'app' ]),
	"/static/output/00000000-0000-0000-0000-0000000000d2.png\napp, pg_catalog\nescape",
	'A6.1: and the session keeps what it has set');
# Likewise where the function fails.
is($node->safe_psql('postgres', q{
		SET search_path = app, pg_catalog;
		DO $$ BEGIN PERFORM imgexport.variant_url('00000000-0000-0000-0000-0000000000d2', 'nonsense');
		EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$;
		SELECT current_user; SHOW search_path},
		extra_params => [ '-U', 'app' ]), "app\napp, pg_catalog", 'A5.2: an error gives the rights back');

$node->stop;
done_testing();
