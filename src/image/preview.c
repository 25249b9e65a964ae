/*
 * preview.c
 *		img_preview: a picture in the terminal.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "compat.h"
#include "image/render.h"
#include "image/step.h"

PG_FUNCTION_INFO_V1(img_preview);

/* img_preview(image bytea, columns integer) returns text */
Datum
img_preview(PG_FUNCTION_ARGS)
{
	LazyImage *image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	StepArgument columns = {"columns", INT4OID, false, PG_GETARG_DATUM(1)};
	Rendering rendering;
	char *text;

	step_append(image, "preview", &columns, 1);
	render_images(&image, 1, false, &rendering);
	text = pnstrdup(VARDATA(rendering.data), VARSIZE(rendering.data) - VARHDRSZ);
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(text, strlen(text), PG_UTF8)));
}
