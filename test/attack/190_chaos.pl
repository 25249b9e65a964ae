# A short soak of chaos: some hundred jobs, and some thirty faults of test/lib/Faults.pm while they run.
# (make soak chaos is the long one.)
use strict;
use warnings;

# Before anything is written, as the soak begins anew in namespaces of its own.
BEGIN
{
	$ENV{SOAK_JOBS} //= 600;
	exec $^X, 'test/soak/050_chaos.pl' if $ENV{SLOW_CHECKS};
}

use Test::More skip_all => 'takes a minute';
