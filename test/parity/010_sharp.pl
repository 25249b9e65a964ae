# The same pictures by sharp and by our functions.  Takes node and NODE_MODULES with sharp in it.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Test::More;

my $node = new_node('parity');

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
open my $run, '-|', 'node', 'test/parity/run.mjs', photo('photo-720p.jpg'), $ENV{DOC_FILE} // ()
  or die "node: $!";
while (<$run>)
{
	/^ok \d+ - (.*)/ ? pass($1) : /^not ok \d+ - (.*)/ ? fail($1) : note($_ =~ s/^# //r);
}
close $run;
is($?, 0, 'the comparison came to its end');
done_testing();
