# The role of imgexport-httpd: it takes what is posted, and reads and writes no table.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('delivery');
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }

ask("CREATE ROLE web; CREATE ROLE bare; CALL imgexport.grant_delivery('web'); CALL imgexport.grant_delivery('bare', false)");
my $held = "SELECT coalesce(string_agg(c.relname, ' ' ORDER BY 1), '') FROM pg_class c WHERE relnamespace = 'imgexport'::regnamespace AND relkind IN ('r', 'v', 'S')
	AND (has_table_privilege('%1\$s', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR has_any_column_privilege('%1\$s', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))";
is(ask(sprintf $held, $_), '', "C5: the role $_ reads and writes no table") foreach qw(web bare);
like(error_of($node, "SET ROLE bare; SELECT * FROM imgexport.http_upload('', '', '', '{}', '{}', '{}')"), qr/42501/, 'C5: nor is anything posted where uploads are not granted');

# What is posted is the role's own all the same.
my $more = ask("SET ROLE web; SELECT more FROM imgexport.http_process('/process', '', '', '{image}', '{a.gif}', ARRAY[$image])");
my ($batch) = $more =~ /^process (\S+)$/;
ok($batch, 'C5: an image is posted');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 AND bool_and(state = 'completed') FROM imgexport.job WHERE batch_id = '$batch'"), 'C5: and processed');
is(ask("SELECT string_agg(DISTINCT owner, ' ') FROM (SELECT owner FROM imgexport.job UNION ALL SELECT owner FROM imgexport.batch UNION ALL SELECT owner FROM imgexport.image) AS o"), 'web', 'C5: as the role that posted it');
is(ask("SET ROLE web; SELECT status FROM imgexport.http_again('$more')"), 200, 'C5: which gets the answer');
ask("CREATE ROLE web2; CALL imgexport.grant_delivery('web2')");
is(ask("SET ROLE web2; SELECT status FROM imgexport.http_again('$more')"), 404, 'C5: as no other does');
is(ask("SET ROLE web; SELECT status FROM imgexport.http_upload('/api/upload', '', '', '{csv}', '{a.csv}', ARRAY[convert_to(E'Serial Number,Product Name,Input Image URLs\\n1,one,http://127.0.0.1:1/a.jpg\\n', 'UTF8')])"), 202, 'C5: a CSV');
is(ask("SELECT string_agg(DISTINCT owner, ' ') FROM (SELECT owner FROM imgexport.job UNION ALL SELECT owner FROM imgexport.product UNION ALL SELECT owner FROM imgexport.batch) AS o"), 'web', 'C5: is his too');

# All of it can be taken back.
ask("CALL imgexport.grant_access('web'); CALL imgexport.grant_monitoring('web'); CALL imgexport.revoke_access('web')");
is(ask("SELECT count(*) FROM (SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a UNION ALL SELECT a.grantee FROM pg_proc p, aclexplode(p.proacl) a
	UNION ALL SELECT a.grantee FROM pg_namespace n, aclexplode(n.nspacl) a UNION ALL SELECT a.grantee FROM pg_attribute t, aclexplode(t.attacl) a) AS g WHERE grantee = 'web'::regrole"), 0,
	'C5.1: revoke_access leaves nothing');

# What doc/security.md says of PUBLIC: the steps there work.
ask('CREATE ROLE nobody; CREATE ROLE app');
is(ask("SELECT has_schema_privilege('nobody', 'imgexport', 'USAGE')"), 'f', 'C5.2: PUBLIC may not look into the schema imgexport');
my ($close) = PostgreSQL::Test::Utils::slurp_file('doc/security.md') =~ /^(DO \$\$.*?^END \$\$;\nGRANT [^\n]*;)$/ms;
ask($close);
like(error_of($node, "SET ROLE nobody; SELECT img_is_image('x')"), qr/42501/, 'C5.2: image functions can be closed to PUBLIC');
ask("CALL imgexport.grant_access('app')");
my $closed = ask("SET ROLE app; INSERT INTO imgexport.job (source, outputs) VALUES ($image, '{\"png\": {}}') RETURNING batch_id");
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '$closed'"), 'C5.2: a role that submits jobs needs none of them');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE SCHEMA images; CREATE EXTENSION imgexport SCHEMA images');
is($node->safe_psql('other', "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"), 0, 'C5.2: nothing is in public where another schema is named');

$node->stop;
done_testing();
