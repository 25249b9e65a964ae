/*
 * csv.c
 *		imgexport.read_csv: CSV as COPY reads it, whatever its columns.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(imgexport_read_csv);

/* COPY asks for its input by a function that takes no argument of ours. */
static const char *input;
static Size input_left;

static int
give_input(void *buffer, int least, int most)
{
	Size size = Min(input_left, (Size) most);

	memcpy(buffer, input, size);
	input += size;
	input_left -= size;
	return (int) size;
}

/* Without a byte order mark, and every line ended by LF; COPY wants all ends to be alike. */
static char *
normalize(const char *text, Size size, Size *left)
{
	static const char mark[] = "\xEF\xBB\xBF";
	char *copy = MemoryContextAllocHuge(CurrentMemoryContext, size + 1);
	char *to = copy;
	Size at = 0;

	if ((GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII) &&
		size >= 3 && memcmp(text, mark, 3) == 0)
		at = 3;
	for (; at < size; at++)
		if (text[at] != '\r' || at + 1 == size || text[at + 1] != '\n')
			*to++ = text[at];
	*left = to - copy;
	return copy;
}

static Datum
fields_array(char **fields, int count)
{
	Datum *values = palloc(count * sizeof *values);

	for (int i = 0; i < count; i++)
		values[i] = CStringGetTextDatum(fields[i] ? fields[i] : "");
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static CopyFromState
begin_copy(Relation relation)
{
	List *options = list_make2(
		makeDefElem("format", (Node *) makeString("csv"), -1),
		makeDefElem("encoding",
					(Node *) makeString((char *) pg_encoding_to_char(GetDatabaseEncoding())),
					-1));

	return BeginCopyFrom(NULL, relation, NULL, NULL, false, give_input, NIL, options);
}

/* imgexport.read_csv(csv text) returns setof (line int8, fields text[]) */
Datum
imgexport_read_csv(PG_FUNCTION_ARGS)
{
	text *csv = PG_GETARG_TEXT_PP(0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "CSV row", ALLOCSET_DEFAULT_SIZES);
	/* COPY needs a relation to copy into; the columns of this one are not looked at. */
	Relation relation = relation_open(
		RangeVarGetRelid(makeRangeVar("imgexport", "csv_upload", -1), AccessShareLock, false),
		NoLock);
	CopyFromState copy;
	char **fields;
	int count;
	uint64 line = 1;
	char *text = normalize(VARDATA_ANY(csv), VARSIZE_ANY_EXHDR(csv), &input_left);

	input = text;
	InitMaterializedSRF(fcinfo, 0);
	copy = begin_copy(relation);
	while (NextCopyFromRawFields(copy, &fields, &count))
	{
		MemoryContext before = MemoryContextSwitchTo(row_context);
		Datum values[] = {Int64GetDatum(line), fields_array(fields, count)};
		bool nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextSwitchTo(before);
		MemoryContextReset(row_context);
		CHECK_FOR_INTERRUPTS();
		/* Lines within quotes belong to the record that begins before them. */
		line = copy->cur_lineno + 1;
	}
	EndCopyFrom(copy);
	relation_close(relation, AccessShareLock);
	pfree(text);
	return (Datum) 0;
}
