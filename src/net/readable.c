/*
 * readable.c
 *		What the network process may read: what resolving a name and checking a certificate take.
 *
 * Of TLS's folders only those of certificates: next to them lie private keys, among them
 * the server's own (/etc/ssl/private on Debian, /etc/pki/tls/private elsewhere).
 */
#include <stddef.h>

#include "net/readable.h"

static const char *readable[] = {
	/* names */
	"/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/host.conf",
	"/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	/* certificates, and the folders that links in them lead to */
	"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf",
	"/etc/pki/ca-trust/extracted", "/var/lib/ca-certificates",
	/* modules that glibc and OpenSSL load at first use */
	"/usr/lib", "/usr/lib64", "/lib", "/etc/ld.so.cache", "/dev/null", "/dev/urandom",
	NULL, /* for ca_file */
	NULL};

/* The list, for sandbox_enter; ca_file: certificates in place of the system's, NULL: none. */
const char *const *
net_readable(const char *ca_file)
{
	readable[sizeof readable / sizeof readable[0] - 2] = ca_file;
	return readable;
}
