# imgexport-httpd, started and stopped by its own id, and what it answers.
package HttpServer;

use strict;
use warnings;

use Cwd qw(abs_path);
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Open3;
use Symbol qw(gensym);

# A role for it in a test's server, and the program on a free port.
sub start
{
	my ($class, $node, @options) = @_;
	my $self = bless { node => $node, options => \@options }, $class;

	$node->safe_psql('postgres', "DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'web')
		THEN CREATE ROLE web LOGIN; CALL imgexport.grant_delivery('web'); END IF; END \$\$");
	$self->run(0);
	return $self;
}

sub run
{
	my ($self, $port) = @_;
	my $errors = gensym;
	my $node = $self->{node};

	$self->{pid} = open3(my $in, '>&STDERR', $errors, 'build/imgexport-httpd', '--port', $port,
		'--database', 'host=' . $node->host . ' port=' . $node->port . ' user=web dbname=postgres',
		'--access-log', $node->basedir . '/access.log', @{ $self->{options} });
	my $line = <$errors>;
	($self->{port}) = ($line // '') =~ /:(\d+)$/ or die 'imgexport-httpd did not say its port: ' . ($line // '');
	$self->{errors} = $errors;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# A request; headers as a hash, and what HTTP::Tiny takes besides.
sub ask
{
	my ($self, $path, %more) = @_;
	my $method = delete $more{method} // 'GET';
	my %headers = %{ delete $more{headers} // {} };

	return HTTP::Tiny->new(timeout => 60, max_redirect => 0, keep_alive => 0)
	  ->request($method, $self->url . $path, { headers => \%headers, %more });
}

# A form of multipart/form-data: names with texts, or with [file name, bytes].
sub post_form
{
	my ($self, $path, $fields, %headers) = @_;
	my $body = '';

	while (my ($name, $value) = splice(@$fields, 0, 2))
	{
		$body .= "--limit\r\nContent-Disposition: form-data; name=\"$name\"";
		$body .= ref $value ? "; filename=\"$value->[0]\"\r\n\r\n$value->[1]\r\n" : "\r\n\r\n$value\r\n";
	}
	return $self->ask($path, method => 'POST', content => "$body--limit--\r\n",
		headers => { 'Content-Type' => 'multipart/form-data; boundary=limit', %headers });
}

# Bytes as they are, and what comes back until the server ends it, or for so many seconds.
sub raw
{
	my ($self, $bytes, $seconds) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) or return;
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	print $socket $bytes;
	$socket->flush;
	eval {
		local $SIG{ALRM} = sub { die "no more\n" };
		alarm($seconds // 5);
		while (sysread($socket, my $part, 65536)) { $answer .= $part }
		alarm(0);
	};
	alarm(0);
	return $answer;
}

sub memory_kb
{
	my ($self) = @_;

	open my $status, '<', "/proc/$self->{pid}/status" or return;
	my ($kb) = map { /^VmRSS:\s+(\d+)/ } <$status>;
	return $kb;
}

# Have it end; returns its exit code.
sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return $? >> 8;
}

sub DESTROY { local $?; $_[0]->stop }

1;
