# The table of faults names tests that are there.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $table = slurp_file('test/attack/README.md');
my @rows = $table =~ /^\| ([A-H]\d+(?:\.\d+)?) \|.*\|([^|]*)\|$/mg;
my (@missing, %seen);

while (my ($id, $tests) = splice @rows, 0, 2)
{
	push @missing, "$id is there twice" if $seen{$id}++;
	push @missing, "$id names no test" if $tests !~ /`/;
	foreach my $file ($tests =~ /`([^`]+)`/g)
	{
		push @missing, "$id: no $file" if !-e $file;
	}
}
is_deeply(\@missing, [], 'every fault in the table names a test that is there');
done_testing();
