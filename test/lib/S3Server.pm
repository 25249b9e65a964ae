# The S3 of the tests (test/server/s3.cjs, a program that checks signatures).
package S3Server;

use strict;
use warnings;

use IPC::Open2;

# Serve a bucket from a folder on a free port of 127.0.0.1.
sub start
{
	my ($class, $folder, $bucket) = @_;
	my $pid = open2(my $output, my $input, 'node', 'test/server/s3.cjs', $folder, $bucket);
	my $line = <$output>;
	my ($port) = ($line // '') =~ /(\d+)\s*$/ or die 'the S3 did not say its port';

	return bless { pid => $pid, input => $input, output => $output, port => $port,
		folder => "$folder/$bucket" }, $class;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# Keys of the objects that are there, sorted.
sub keys_of
{
	my ($self) = @_;
	my @found = split /\n/, `cd '$self->{folder}' && find . -name '*._S3rver_object' | sort`;

	return map { s{^\./}{}; s{\._S3rver_object$}{}; s/%3A/:/g; $_ } @found;
}

sub stop
{
	my ($self) = @_;

	close($self->{input}) if $self->{input};
	waitpid($self->{pid}, 0) if $self->{pid};
	delete @$self{qw(pid input output)};
}

sub DESTROY { $_[0]->stop }

1;
