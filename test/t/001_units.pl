# The tests in C: each program prints TAP of its own, which becomes a subtest here.
use strict;
use warnings;

use Test::More;

my @programs = sort glob('build/test/unit/*_test');

ok(@programs > 0, 'there are tests in C');
foreach my $program (@programs)
{
	my ($name) = $program =~ m{([^/]+)$};

	subtest $name => sub {
		open(my $output, '-|', $program) or die "could not run $program: $!";
		while (my $line = <$output>)
		{
			chomp $line;
			if ($line =~ /^ok \d+ - # skip(.*)/i) { SKIP: { skip($1, 1); } }
			elsif ($line =~ /^(not )?ok \d+(?: - )?(.*)/) { ok(!$1, $2); }
			elsif ($line !~ /^1\.\.\d+/) { diag($line); }
		}
		close($output);
		is($?, 0, 'it exited with 0');
	};
}
done_testing();
