/*
 * launcher.h
 *		The process that starts a worker for each database that wants one.
 */
#ifndef IMGEXPORT_QUEUE_LAUNCHER_H
#define IMGEXPORT_QUEUE_LAUNCHER_H

void launcher_define(void);
PGDLLEXPORT void imgexport_launcher_main(Datum argument);

#endif
