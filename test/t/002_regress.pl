# The tests in SQL: each file of sql/ against its answer in expected/, in one database.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

$ENV{PHOTOS_DIR} = abs_path($ENV{PHOTOS} // q(photos));
my @tests = map { m{([^/]+)\.sql$} } sort glob('sql/*.sql');
my %answers = map { (m{([^/]+)\.out$})[0] => 1 } glob('expected/*.out');

is_deeply([ sort keys %answers ], [@tests], 'each test has its answer, each answer its test');

my $node = new_node('regress');
my $results = PostgreSQL::Test::Utils::tempdir();
my $passed = system($ENV{PG_REGRESS}, '--inputdir=' . abs_path('.'),
	"--outputdir=$results", '--bindir=', '--use-existing', '--dbname=postgres',
	'--host=' . $node->host, '--port=' . $node->port, '--user=' . getpwuid($<), @tests) == 0;

ok($passed, scalar(@tests) . ' tests in SQL');
diag(slurp_file("$results/regression.diffs")) if !$passed && -e "$results/regression.diffs";
$node->stop;
done_testing();
