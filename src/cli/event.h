/* SPDX-License-Identifier: MIT */
/*
 * The events of --json: one JSON object per line on standard output, {"time":…,"event":NAME,…}. The
 * names and members are listed in docs/operations.md.
 */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

/*
 * `fmt` and what follows are those of json_pack() for an object, or NULL. Time is milliseconds
 * since 1970. An event that can't be built, or that finds no room because nobody reads,
 * is left out, and the log says so.
 */
void event_write(const char *name, const char *fmt, ...);

#endif
