/*
 * presets.h
 *		Jobs counted by their preset.
 */
#ifndef IMGEXPORT_QUEUE_PRESETS_H
#define IMGEXPORT_QUEUE_PRESETS_H

void preset_count(const char *preset, bool completed, long ms);

#endif
