/*
 * http_route_fuzz.c
 *		The router: what a path is found to be is what its pattern says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1);
	int methods;

	memcpy(path, data, size);
	path[size] = '\0';
	methods = route_methods(path);
	for (int post = 0; post < 2; post++)
	{
		const Route *route = route_find(path, post);

		if ((route != NULL) != ((methods & (post ? METHOD_POST : METHOD_GET)) != 0) ||
			(route != NULL && ((route->flags & ROUTE_POST) != 0) != post))
			abort();
		/* Only a path of the gallery, of images and of sources may go without a key. */
		if (route != NULL && (route->flags & ROUTE_OPEN) != 0 && strcmp(path, "/") != 0 &&
			strcmp(path, "/health") != 0 && strncmp(path, "/static/output/", 15) != 0 &&
			strncmp(path, "/api/download/", 14) != 0 &&
			strncmp(path, "/api/through/", 13) != 0 && strncmp(path, "/api/source/", 12) != 0 &&
			strncmp(path, "/img/", 5) != 0)
			abort();
	}
	free(path);
	return 0;
}
