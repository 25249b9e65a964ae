/*
 * secrets.c
 *		Secrets in a file, which no dump and no replica has.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "fmgr.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "settings.h"

PG_FUNCTION_INFO_V1(imgexport_file_secret);

#define LINE_MAX_BYTES 8192

/* The file, for nobody but its owner and group. */
static FILE *
open_secrets(void)
{
	FILE *file = AllocateFile(settings.secrets_file, "r");
	struct stat status;

	if (file == NULL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open the file of imgexport.secrets_file: %m")));
	if (fstat(fileno(file), &status) != 0 || (status.st_mode & 0007) != 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("anyone may read the file of imgexport.secrets_file"),
						errhint("Take the rights of others from it: chmod o-rwx.")));
	return file;
}

/* Text without what is blank at its ends; in place. */
static char *
trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

/* imgexport.file_secret(name text) returns text */
Datum
imgexport_file_secret(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char line[LINE_MAX_BYTES];
	text *value = NULL;
	FILE *file;

	if (settings.secrets_file[0] == '\0')
		PG_RETURN_NULL();
	file = open_secrets();
	while (value == NULL && fgets(line, sizeof line, file) != NULL)
	{
		char *sign = strchr(line, '=');

		if (sign == NULL || trim(line)[0] == '#')
			continue;
		*sign = '\0';
		if (strcmp(trim(line), name) == 0)
			value = cstring_to_text(trim(sign + 1));
	}
	FreeFile(file);
	explicit_bzero(line, sizeof line);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(value);
}
