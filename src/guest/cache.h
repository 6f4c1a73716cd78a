/* SPDX-License-Identifier: MIT */
/*
 * A folder of compiled modules. What lies in it is machine code that the engine runs unseen, so the
 * folder must be the user's own and closed to everyone else, and a file in it appears whole or not
 * at all. A module's name there is the hash of its content, the engine's version and the
 * processor's abilities.
 */
#ifndef GUEST_CACHE_H
#define GUEST_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Modules that are kept; the ones that were not used for longest go first. */
#define CACHE_MODULES_MAX 32

/* A SHA-256 in hex, ".cwasm" and a NUL. */
#define CACHE_NAME_SIZE 71

struct cache {
	int dir; /* owned; -1 when closed */
};

/*
 * Opens the folder, and makes it when only its last part is missing. -EPERM when somebody else owns
 * it or can write or read it.
 */
int cache_open(struct cache *c, const char *path);
void cache_close(struct cache *c);

/* The file's name for a module, of which a quick engine makes another one. -EIO when hashing fails.
 */
int cache_name(const uint8_t *module, size_t len, bool quick, char ret_name[CACHE_NAME_SIZE]);

/* Says that the module is used now. -ENOENT when it is not there. */
int cache_touch(const struct cache *c, const char *name);

/* Stores a compiled module, and drops those that are too many. */
int cache_store(const struct cache *c, const char *name, const void *data, size_t len);

#endif
