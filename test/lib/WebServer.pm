# The local web server of the tests (test/server/web.py), started and stopped by its own id.
package WebServer;

use strict;
use warnings;

use Cwd qw(abs_path);

# Serve a folder on a free port of 127.0.0.1.
sub start
{
	my ($class, $folder) = @_;
	my $pid = open(my $output, '-|', 'python3', 'test/server/web.py', abs_path($folder))
	  or die "could not start the web server: $!";
	my $line = <$output>;
	my ($port) = ($line // '') =~ /(\d+)\s*$/ or die 'the web server did not say its port';

	return bless { pid => $pid, output => $output, port => $port }, $class;
}

sub url
{
	my ($self) = @_;

	return "http://127.0.0.1:$self->{port}";
}

sub stop
{
	my ($self) = @_;

	kill 'TERM', $self->{pid} if $self->{pid};
	close($self->{output}) if $self->{output};
	delete @$self{qw(pid output)};
}

sub DESTROY { $_[0]->stop }

1;
