/*
 * files.c
 *		Files of a store, as sessions read and list them, never outside the store's directory.
 *
 * They are written and removed by a process of their own (src/files), by the same rules: a key is
 * walked part by part from the root's descriptor and no symbolic link is followed on the way, and
 * only directories of imgexport.store_directories can be roots.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "compat.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(imgexport_read_file);
PG_FUNCTION_INFO_V1(imgexport_list_files);
PG_FUNCTION_INFO_V1(imgexport_directory_space);

#define UNFINISHED_SUFFIX ".unfinished"

/* A directory on the way to a file, and the last part of its key. */
typedef struct Place
{
	int directory;
	const char *name;
} Place;

static bool
is_listed(const char *path)
{
	char *list = pstrdup(settings.store_directories);
	List *directories;
	ListCell *cell;

	if (!SplitDirectoriesString(list, ',', &directories))
		return false;
	foreach (cell, directories)
		if (path_is_prefix_of_path(lfirst(cell), path))
			return true;
	return false;
}

/* The root's descriptor; its symbolic links are the administrator's, and the list is of what
 * they lead to. */
static int
open_root(const char *root)
{
	char path[PATH_MAX];
	int fd;

	if (realpath(root, path) == NULL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not find directory \"%s\" of a store: %m", root)));
	if (!is_listed(path))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("directory \"%s\" is not one that stores may be in", path),
						errhint("imgexport.store_directories lists those that are.")));
	fd = OpenTransientFile(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open directory \"%s\" of a store: %m", path)));
	return fd;
}

static bool
is_plain_part(const char *part)
{
	return part[0] != '\0' && part[0] != '.' && strlen(part) < NAME_MAX - 40;
}

/* What a write has begun, and a crash has left. */
static bool
is_unfinished(const char *part)
{
	const char *end = strrchr(part, '.');

	return part[0] == '.' && end != part && end != NULL && strcmp(end, UNFINISHED_SUFFIX) == 0;
}

/*
 * Walk to the directory of a key.
 *
 * Returns	its descriptor, and the name that is left; -1 where it is not there
 */
static Place
walk(const char *root, const char *key)
{
	Place place = {.directory = open_root(root)};
	char *rest = pstrdup(key);
	char *part = strsep(&rest, "/");

	for (; rest != NULL && is_plain_part(part); part = strsep(&rest, "/"))
	{
		int next =
			openat(place.directory, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
		{
			int error = errno;
			bool is_way_out = error == ELOOP || error == ENOTDIR;

			CloseTransientFile(place.directory);
			place.directory = -1;
			errno = error;
			if (error == ENOENT)
				return place;
			ereport(ERROR,
					(errcode(is_way_out ? ERRCODE_INSUFFICIENT_PRIVILEGE : ERRCODE_IO_ERROR),
					 errmsg("could not open directory \"%s\" on the way to \"%s\": %m", part,
							key)));
		}
		/* The root's descriptor is known to the server's list of files; it takes the place. */
		if (dup3(next, place.directory, O_CLOEXEC) < 0)
			elog(ERROR, "could not duplicate a descriptor: %m");
		close(next);
	}
	if (rest != NULL || !(is_plain_part(part) || is_unfinished(part)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("key \"%s\" is no plain relative path", key)));
	place.name = part;
	return place;
}

static void
fail(const Place *place, const char *what, const char *key)
{
	int error = errno;

	CloseTransientFile(place->directory);
	errno = error;
	ereport(ERROR, (errcode_for_file_access(), errmsg("could not %s \"%s\": %m", what, key)));
}

static bytea *
read_bytes(int fd, int64 start, int64 most)
{
	bytea *data = palloc(VARHDRSZ + most);
	int64 got = 0;

	while (got < most)
	{
		ssize_t part = pread(fd, VARDATA(data) + got, most - got, start + got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a file: %m")));
		if (part == 0)
			break;
		got += part;
	}
	SET_VARSIZE(data, VARHDRSZ + got);
	return data;
}

/* imgexport.read_file(root text, key text, start int8, most int8, OUT data bytea, OUT size int8) */
Datum
imgexport_read_file(PG_FUNCTION_ARGS)
{
	Datum values[2] = {0};
	bool nulls[2] = {true, true};
	TupleDesc columns;
	Place place;
	struct stat status;
	int fd;

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "read_file returns no row");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
	place = walk(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (place.directory < 0)
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
	fd = openat(place.directory, place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		fail(&place, "open", place.name);
	/* The directory's place in the server's list of files is now the file's. */
	if (fd >= 0 && dup3(fd, place.directory, O_CLOEXEC) >= 0 &&
		fstat(place.directory, &status) == 0 && S_ISREG(status.st_mode))
	{
		int64 start = Min(Max(PG_GETARG_INT64(2), 0), status.st_size);
		int64 left = status.st_size - start;

		values[0] = PointerGetDatum(
			read_bytes(place.directory, start,
					   Min(PG_ARGISNULL(3) ? left : Max(Min(left, PG_GETARG_INT64(3)), 0),
						   MaxAllocSize - VARHDRSZ)));
		values[1] = Int64GetDatum(status.st_size);
		nulls[0] = nulls[1] = false;
	}
	if (fd >= 0)
		close(fd);
	CloseTransientFile(place.directory);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}

/* The files of one directory, and of those in it; path is its own, "" for the root's. */
static void
list_directory(int directory, const char *path, ReturnSetInfo *result)
{
	DIR *entries = fdopendir(directory);
	struct dirent *entry;

	if (entries == NULL)
	{
		close(directory);
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not list \"%s\": %m", path)));
	}
	PG_TRY();
	{
		while ((entry = readdir(entries)) != NULL)
		{
			struct stat status;
			char *key = psprintf("%s%s%s", path, path[0] ? "/" : "", entry->d_name);

			CHECK_FOR_INTERRUPTS();
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
				fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
				continue;
			if (S_ISDIR(status.st_mode))
			{
				int next = openat(dirfd(entries), entry->d_name,
								  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

				if (next >= 0)
					list_directory(next, key, result);
			}
			else if (S_ISREG(status.st_mode))
			{
				Datum values[3] = {CStringGetTextDatum(key), Int64GetDatum(status.st_size),
								   TimestampTzGetDatum(time_t_to_timestamptz(status.st_mtime))};
				bool nulls[3] = {false, false, false};

				tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
			}
		}
	}
	PG_FINALLY();
	{
		closedir(entries);
	}
	PG_END_TRY();
}

/* imgexport.list_files(root text) returns setof record */
Datum
imgexport_list_files(PG_FUNCTION_ARGS)
{
	int root;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	root = open_root(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	list_directory(fcntl(root, F_DUPFD_CLOEXEC, 0), "", (ReturnSetInfo *) fcinfo->resultinfo);
	CloseTransientFile(root);
	return (Datum) 0;
}

/* imgexport.directory_space(root text, OUT writable boolean, OUT free_bytes int8) */
Datum
imgexport_directory_space(PG_FUNCTION_ARGS)
{
	int root = open_root(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Datum values[2];
	bool nulls[2] = {false, false};
	TupleDesc columns;
	struct statvfs space;

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "directory_space returns no row");
	if (fstatvfs(root, &space) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a file system: %m")));
	values[0] = BoolGetDatum(faccessat(root, ".", W_OK | X_OK, AT_EACCESS) == 0);
	values[1] = Int64GetDatum((int64) space.f_bavail * space.f_frsize);
	CloseTransientFile(root);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}
