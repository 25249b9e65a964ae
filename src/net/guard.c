/*
 * guard.c
 *		Which addresses and hosts may be talked to.
 *
 * What is checked is the address that a connection is made to, after every name
 * was resolved and every odd spelling was read: never the text of a URL.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/guard.h"

#define MAPPED_BITS 96

/*
 * An address has to be global unicast (RFC 4291, 2.4 and IANA's list of address spaces) ...
 * NAT64's well-known prefix is how a network without IPv4 reaches the rest of it.
 */
static const char *const global[] = {
	"0.0.0.0/0",	/* what is left of it after the special blocks */
	"2000::/3",		/* IANA IPv6 Global Unicast */
	"64:ff9b::/96", /* RFC 6052: NAT64 */
};

/*
 * ... and outside every block of IANA's two registries of special-purpose addresses (as of
 * 2025), whatever they say of its reach: no image is served from any of them.  Multicast has
 * registries of its own.  What is embedded in IPv6 is judged below.
 */
static const char *const special[] = {
	/* iana-ipv4-special-registry */
	"0.0.0.0/8",	  /* RFC 791, 3.2: this network */
	"10.0.0.0/8",	  /* RFC 1918: private */
	"100.64.0.0/10",  /* RFC 6598: shared by carriers */
	"127.0.0.0/8",	  /* RFC 1122, 3.2.1.3: loopback */
	"169.254.0.0/16", /* RFC 3927: link-local, and clouds' metadata */
	"172.16.0.0/12",  /* RFC 1918 */
	"192.0.0.0/24", /* RFC 6890: protocol assignments, with 192.0.0.0/29 .8 .9 .10 .170 .171 */
	"192.0.2.0/24", /* RFC 5737: documentation */
	"192.31.196.0/24", /* RFC 7535: AS112 */
	"192.52.193.0/24", /* RFC 7450: AMT */
	"192.88.99.0/24",  /* RFC 7526: 6to4 relays, with 192.88.99.2/32 */
	"192.168.0.0/16",  /* RFC 1918 */
	"192.175.48.0/24", /* RFC 7534: AS112 */
	"198.18.0.0/15",   /* RFC 2544: benchmarks */
	"198.51.100.0/24", /* RFC 5737 */
	"203.0.113.0/24",  /* RFC 5737 */
	"240.0.0.0/4",	   /* RFC 1112, 4: reserved, with 255.255.255.255/32 */
	/* not in the registry */
	"224.0.0.0/4",		/* RFC 5771: multicast */
	"168.63.129.16/32", /* Azure's virtual public address of its hosts */
	/* iana-ipv6-special-registry, inside what is global */
	"2001::/23",	 /* RFC 2928: protocol assignments, with Teredo, ORCHID, AMT, benchmarks */
	"2001:db8::/32", /* RFC 3849: documentation */
	"2620:4f:8000::/48", /* RFC 7534: AS112 */
	"3fff::/20",		 /* RFC 9637: documentation */
	/* and outside, where the first table refuses them already */
	"::/128",		   /* RFC 4291: unspecified */
	"::1/128",		   /* RFC 4291: loopback */
	"::/96",		   /* RFC 4291, 2.5.5.1: IPv4-compatible */
	"::ffff:0:0:0/96", /* RFC 2765: IPv4-translated */
	"64:ff9b:1::/48",  /* RFC 8215: local NAT64 */
	"100::/64",		   /* RFC 6666: discard */
	"100:0:0:1::/64",  /* RFC 9780: dummy */
	"5f00::/16",	   /* RFC 9602: segment routing */
	"fc00::/7",		   /* RFC 4193: unique local */
	"fe80::/10",	   /* RFC 4291: link-local */
	"fec0::/10",	   /* RFC 3879: site-local */
	"ff00::/8",		   /* RFC 4291: multicast */
};

/*
 * IPv6 addresses that stand for an IPv4 address, which has to be allowed as well: those of a
 * network, and by their interface those of ISATAP, under any network.
 */
static const struct
{
	const char *network;
	int offset; /* of the IPv4 address, in bytes */
} embedding[] = {
	{"64:ff9b::/96", 12}, /* RFC 6052: NAT64 */
	{"2002::/16", 2},	  /* RFC 3056: 6to4 */
};

/* RFC 5214, 6.1: the interface of ISATAP, 0000:5efe or 0200:5efe and then the IPv4 address. */
static bool
is_isatap(const unsigned char address[16])
{
	return (address[8] & 0xfc) == 0 && address[9] == 0 && address[10] == 0x5e &&
		   address[11] == 0xfe;
}

static void
map_ipv4(const unsigned char ipv4[4], unsigned char address[16])
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, ipv4, 4);
}

static bool
parse_address(const char *text, unsigned char address[16], int *bits)
{
	unsigned char ipv4[4];

	*bits = 128;
	if (inet_pton(AF_INET6, text, address) == 1)
		return true;
	if (inet_pton(AF_INET, text, ipv4) != 1)
		return false;
	map_ipv4(ipv4, address);
	*bits = 32;
	return true;
}

/* "10.0.0.0/8"; an address alone is a network of one. */
static bool
parse_network(const char *text, Network *network)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t) (slash - text) : strlen(text);
	char *end;
	long prefix;
	int bits;

	if (length == 0 || length >= sizeof address)
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	if (!parse_address(address, network->address, &bits))
		return false;
	prefix = slash ? strtol(slash + 1, &end, 10) : bits;
	if (slash && (end == slash + 1 || *end != '\0' || prefix < 0 || prefix > bits))
		return false;
	network->prefix = (int) prefix + (bits == 32 ? MAPPED_BITS : 0);
	return true;
}

static bool
contains(const Network *network, const unsigned char address[16])
{
	int bytes = network->prefix / 8;
	int bits = network->prefix % 8;

	if (memcmp(network->address, address, (size_t) bytes) != 0)
		return false;
	return bits == 0 ||
		   ((network->address[bytes] ^ address[bytes]) & (0xff << (8 - bits)) & 0xff) == 0;
}

/* A row that cannot be read opens nothing ... */
static bool
is_inside(const char *text, const unsigned char address[16])
{
	Network network;

	return parse_network(text, &network) && contains(&network, address);
}

/* ... and closes everything. */
static bool
is_outside(const char *text, const unsigned char address[16])
{
	Network network;

	return parse_network(text, &network) && !contains(&network, address);
}

/*
 * Read the networks that are allowed although they are private.
 *
 * networks	comma separated CIDR, spaces allowed; "" is none
 * Returns	false when one of them is none
 */
bool
guard_parse(Guard *guard, const char *networks)
{
	guard->count = 0;
	while (*networks != '\0')
	{
		size_t length = strcspn(networks, ",");
		char item[64];
		size_t first = strspn(networks, " ");
		size_t size = first < length ? length - first : 0;

		while (size > 0 && networks[first + size - 1] == ' ')
			size--;
		if (size > 0)
		{
			if (size >= sizeof item || guard->count == GUARD_MAX_NETWORKS)
				return false;
			memcpy(item, networks + first, size);
			item[size] = '\0';
			if (!parse_network(item, &guard->allowed[guard->count++]))
				return false;
		}
		networks += length + (networks[length] == ',' ? 1 : 0);
	}
	return true;
}

static bool
is_global(const unsigned char address[16])
{
	for (size_t i = 0; i < sizeof global / sizeof global[0]; i++)
		if (is_inside(global[i], address))
			return true;
	return false;
}

static bool
is_special(const unsigned char address[16])
{
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (!is_outside(special[i], address))
			return true;
	return false;
}

static bool allows_bytes(const Guard *guard, const unsigned char address[16]);

/* Is the IPv4 address that an IPv6 address stands for allowed, if there is one? */
static bool
allows_embedded(const Guard *guard, const unsigned char address[16])
{
	unsigned char inner[16];

	for (size_t i = 0; i < sizeof embedding / sizeof embedding[0]; i++)
		if (!is_outside(embedding[i].network, address))
		{
			map_ipv4(address + embedding[i].offset, inner);
			if (!allows_bytes(guard, inner))
				return false;
		}
	if (!is_isatap(address))
		return true;
	map_ipv4(address + 12, inner);
	return allows_bytes(guard, inner);
}

static bool
allows_bytes(const Guard *guard, const unsigned char address[16])
{
	for (int i = 0; i < guard->count; i++)
		if (contains(&guard->allowed[i], address))
			return true;
	return is_global(address) && !is_special(address) && allows_embedded(guard, address);
}

/* May a connection be made to this address?  What is neither IPv4 nor IPv6 may not. */
bool
guard_allows(const Guard *guard, const struct sockaddr *address)
{
	unsigned char bytes[16];

	if (address->sa_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *) address)->sin6_addr, 16);
	else if (address->sa_family == AF_INET)
		map_ipv4((const unsigned char *) &((const struct sockaddr_in *) address)->sin_addr,
				 bytes);
	else
		return false;
	return allows_bytes(guard, bytes);
}

/* The same for an address as text, as libcurl reports the one it has connected to. */
bool
guard_allows_text(const Guard *guard, const char *address)
{
	unsigned char bytes[16];
	int bits;

	return parse_address(address, bytes, &bits) && allows_bytes(guard, bytes);
}

/*
 * Is a host on the list?
 *
 * patterns	comma separated: "example.com" is that host, "*.example.com" every one below
 *			it; "" is any.  Case does not matter, nor does a dot at the host's end.
 */
bool
guard_host_matches(const char *host, const char *patterns)
{
	size_t length = strlen(host);

	if (strspn(patterns, " ,") == strlen(patterns))
		return true;
	if (length > 0 && host[length - 1] == '.')
		length--;
	while (*patterns != '\0')
	{
		size_t size = strcspn(patterns, ", ");

		if (size > 2 && strncmp(patterns, "*.", 2) == 0)
		{
			if (length > size - 1 &&
				strncasecmp(host + length - (size - 1), patterns + 1, size - 1) == 0)
				return true;
		}
		else if (size > 0 && size == length && strncasecmp(host, patterns, size) == 0)
			return true;
		patterns += size + strspn(patterns + size, ", ");
	}
	return false;
}
